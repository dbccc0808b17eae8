import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ControlRefusedError, ControlUnavailableError } from "../../control-transport.js";
import type { WriterContext } from "../generation-change.js";

/** Pause between two reports. Milliseconds. */
const REPORT_EVERY_MS = 1_000;

/** How far the copies of an index have come. Nothing rests on it. */
export class CopyProgressReport {
  documentsTotal = 0;
  documentsCopied = 0;
  documentsDeleted = 0;
  bytesCopied = 0;
  documentsLeft = 0;
  documentsDiffering = 0;
  waitingFor = "";
  lastError = "";
  pauseMs = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly context: WriterContext,
    private readonly instance: string,
    private readonly copyId: string,
  ) {}

  /** Tells the control plane, unless it was told a moment ago. A report that does not arrive is not repeated. */
  async report(now = false): Promise<void> {
    const { world, control, lease, config, logger } = this.context;
    const at = world.clock.monotonic();
    if (!now && at - this.#reportedAt < REPORT_EVERY_MS) return;
    this.#reportedAt = at;
    try {
      await control.reportCopy(
        {
          instance: this.instance,
          copyId: this.copyId,
          writer: { proxyId: lease.proxyId, session: lease.session },
          progress: {
            documentsTotal: BigInt(this.documentsTotal),
            documentsCopied: BigInt(this.documentsCopied),
            documentsDeleted: BigInt(this.documentsDeleted),
            bytesCopied: BigInt(this.bytesCopied),
            documentsLeft: BigInt(this.documentsLeft),
            documentsDiffering: BigInt(this.documentsDiffering),
            waitingFor: this.waitingFor,
            lastError: this.lastError,
            pauseMs: this.pauseMs,
            reportedAt: timestampFromMs(world.clock.now()),
          },
        },
        { timeoutMs: config.controlTimeoutMs },
      );
    } catch (error) {
      if (!(error instanceof ControlRefusedError) && !(error instanceof ControlUnavailableError)) throw error;
      logger.debug({ err: error, copy: this.copyId }, "a copy's progress was not reported");
    }
  }
}
