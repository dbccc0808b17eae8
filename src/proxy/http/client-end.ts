import { createSharedAbort } from "../../runtime/abort.js";
import { LightAbort } from "../../runtime/light-abort.js";
import { deadlineOf, setDeadline } from "../read/deadlines.js";

/** When nobody waits for the answer to a request any more. */
export class ClientEnd {
  /** Enough for what asks nodes and nothing else; see {@link LightAbort}. */
  readonly light = new LightAbort();
  #shared: AbortController | undefined;

  /** The same for everything; made when it is asked for, since it costs more than most of what a search does. */
  get signal(): AbortSignal {
    return (this.#shared ?? this.#share()).signal;
  }

  #share(): AbortController {
    const { light } = this;
    const shared = createSharedAbort();
    if (light.aborted) shared.abort(light.reason);
    else light.addEventListener("abort", () => shared.abort(light.reason));
    setDeadline(shared.signal, deadlineOf(light));
    this.#shared = shared;
    return shared;
  }
}
