import type { Epoch } from "../../gen/miroir/v1/topology_pb.js";
import { epochReached } from "../../topology/epoch.js";
import { ControlRefusedError, ControlUnavailableError } from "../control-transport.js";
import type { IndexView } from "../topology/topology-view.js";
import type { WriterContext } from "./generation-change.js";
import { IndexGoneError } from "./index-write.js";
import { controlAway, controlRefused } from "./refusals.js";
import { waitForTopology } from "./topology-wait.js";

/** The catalogue of indexes, as writes look it up and add to it. */
export class Catalogue {
  constructor(private readonly context: WriterContext) {}

  /** The index of that name in the newest topology. */
  find(indexUid: string): IndexView | undefined {
    return this.context.topology.current()?.indexes.get(indexUid);
  }

  /**
   * The index of that name, created where there is none; with the primary key recorded if it has none yet.
   *
   * @param replaced the key that the new one takes the place of, of an index without documents
   */
  async ensure(indexUid: string, primaryKey: string | undefined, replaced?: string): Promise<IndexView> {
    const { control, config, lease } = this.context;
    const answer = await this.call("creating the index", () =>
      control.ensureIndex(
        {
          uid: indexUid,
          session: lease.session,
          writer: { proxyId: lease.proxyId, session: lease.session },
          ...(primaryKey === undefined ? {} : { primaryKey }),
          ...(replaced === undefined ? {} : { replacedPrimaryKey: replaced }),
        },
        { timeoutMs: config.controlTimeoutMs },
      ),
    );
    await this.waitForEpoch(answer.epoch);
    const index = this.find(indexUid);
    if (index === undefined)
      throw controlAway("the topology with the new index", new IndexGoneError(indexUid));
    return index;
  }

  /** Waits until the topology holds an epoch. */
  async waitForEpoch(epoch: Epoch | undefined): Promise<void> {
    if (epoch === undefined) return;
    try {
      await waitForTopology(this.context, (view) => epochReached(view.epoch, epoch));
    } catch (error) {
      throw controlAway("the newest topology", error);
    }
  }

  /** A call to the control plane that is safe to repeat, tried twice; its failures as refusals. */
  async call<T>(what: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (error instanceof ControlRefusedError) throw controlRefused(what, error);
      if (!(error instanceof ControlUnavailableError)) throw error;
    }
    try {
      return await call();
    } catch (error) {
      if (error instanceof ControlRefusedError) throw controlRefused(what, error);
      if (error instanceof ControlUnavailableError) throw controlAway(what, error);
      throw error;
    }
  }
}
