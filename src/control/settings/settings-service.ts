import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SettingsService } from "../../gen/miroir/v1/settings_pb.js";
import type { DriftCheck } from "./drift-check.js";

/** Tells of the differences that the check of settings has found. */
export function createSettingsService(drift: DriftCheck): ServiceImpl<typeof SettingsService> {
  return {
    async listDrifts() {
      const { drifts, checkedAt } = drift.status();
      return checkedAt === undefined ? { drifts } : { drifts, checkedAt: timestampFromMs(checkedAt) };
    },
  };
}
