import type { ServiceImpl } from "@connectrpc/connect";
import type { BackupService } from "../../gen/miroir/v1/backups_pb.js";
import type { BackupTasks } from "./backup-tasks.js";

/** Serves backups of the whole fleet. */
export function createBackupService(tasks: BackupTasks): ServiceImpl<typeof BackupService> {
  return {
    async createDump({ taskUid }) {
      await tasks.create("dumpCreation", Number(taskUid));
      return {};
    },
    async createSnapshot({ taskUid }) {
      await tasks.create("snapshotCreation", Number(taskUid));
      return {};
    },
  };
}
