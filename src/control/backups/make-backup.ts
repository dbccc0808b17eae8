import type { Logger } from "pino";
import { BackupFolder } from "../../dumps/backup-folder.js";
import type { World } from "../../runtime/world.js";
import type { TaskAttempt } from "../tasks/serial-tasks.js";
import { backupUid } from "./backup-times.js";

/** Where a backup is made, and what of. */
export interface BackupMaking {
  /** Folder of all backups of that kind. */
  readonly folder: string;
  /** What its name ends in, and what it is called in messages. */
  readonly kind: "dump" | "snapshot";
  readonly world: World;
  readonly logger: Logger;
}

/**
 * Makes the backup of a task: it gets its name once `write` has written all of it and this process still leads. What is left of one that
 * fails is removed.
 *
 * @returns the backup's uid
 */
export async function makeBackup(
  { folder, kind, world, logger }: BackupMaking,
  attempt: TaskAttempt,
  write: (target: BackupFolder, uid: string) => Promise<void>,
): Promise<string> {
  const uid = backupUid(attempt.startedAt);
  const nonce = Buffer.from(world.random.bytes(6)).toString("hex");
  const target = await BackupFolder.begin(folder, `${uid}.${kind}`, nonce);
  try {
    await write(target, uid);
    await attempt.confirm();
    const path = await target.complete();
    logger.info({ task: attempt.task.uid, path }, `a ${kind} is complete`);
    return uid;
  } catch (error) {
    await target.abandon().catch((cause: unknown) => {
      logger.warn({ err: cause, uid }, `what a broken ${kind} has left could not be removed`);
    });
    throw error;
  }
}
