import { AdvanceCopyRequestSchema, ReportCopyRequestSchema } from "../../gen/miroir/v1/copies_pb.js";
import {
  CancelWorkflowRequestSchema,
  GetWorkflowRequestSchema,
  ListWorkflowsRequestSchema,
} from "../../gen/miroir/v1/workflows_pb.js";
import { checkName, checkWriter } from "./field-checks.js";
import type { ValidatorTable } from "./validation.js";

const MAX_PROGRESS_TEXT = 2_000;

/** Adds the bounds of the requests about copies and workflows. */
export function addCopyValidators(table: ValidatorTable): ValidatorTable {
  return table
    .add(AdvanceCopyRequestSchema, ({ instance, copyId, writer }, faults) => {
      checkName(instance, "instance", faults);
      checkName(copyId, "copy_id", faults);
      checkWriter(writer, faults);
    })
    .add(ReportCopyRequestSchema, ({ instance, copyId, writer, progress }, faults) => {
      checkName(instance, "instance", faults);
      checkName(copyId, "copy_id", faults);
      checkWriter(writer, faults);
      const words = [progress?.waitingFor ?? "", progress?.lastError ?? ""];
      faults.check(
        words.every((text) => text.length <= MAX_PROGRESS_TEXT),
        "progress",
        `texts have at most ${MAX_PROGRESS_TEXT} characters`,
      );
    })
    .add(GetWorkflowRequestSchema, ({ id }, faults) => checkName(id, "id", faults))
    .add(CancelWorkflowRequestSchema, ({ id }, faults) => checkName(id, "id", faults))
    .add(ListWorkflowsRequestSchema, ({ pageSize, pageToken }, faults) => {
      faults.check(pageSize <= 1_000, "page_size", "must be 1 to 1,000, or absent for 20");
      faults.check(pageToken.length <= 1_024, "page_token", "is not one from a previous answer");
    });
}
