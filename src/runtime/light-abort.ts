type AbortListener = Parameters<AbortSignal["addEventListener"]>[1];

/**
 * An abort signal that aborts itself when it is told to, for what lives as long as one request. Each of Node's own has a hidden class of
 * its own, which slows down all code that touches it: one for every request costs as much as all listeners together. Not for what looks
 * inside of signals, as `AbortSignal.any` and `fetch` do; may have any number of listeners.
 */
export class LightAbort implements AbortSignal {
  aborted = false;
  reason: unknown = undefined;
  onabort: AbortSignal["onabort"] = null;
  #listeners: AbortListener[] = [];

  /** Tells all listeners, once. */
  abort(reason: unknown = new Error("aborted")): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.dispatchEvent(new Event("abort"));
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }

  /** Listens for `abort`, which comes once at most whatever the options say. */
  addEventListener(_type: string, listener: AbortListener): void {
    if (!this.#listeners.includes(listener)) this.#listeners.push(listener);
  }

  removeEventListener(_type: string, listener: AbortListener): void {
    const at = this.#listeners.indexOf(listener);
    if (at !== -1) this.#listeners.splice(at, 1);
  }

  dispatchEvent(event: Event): boolean {
    const listeners = this.#listeners;
    this.#listeners = [];
    this.onabort?.call(this, event);
    for (const listener of listeners) {
      if (typeof listener === "function") listener.call(this, event);
      else listener.handleEvent(event);
    }
    return true;
  }
}
