import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { request, WebSocket } from "undici";

interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly chunk?: string };
  readonly result?: object;
  readonly error?: { readonly message: string };
}

interface Waiting {
  resolve(result: object): void;
  reject(error: Error): void;
}

/** A process of Node.js that runs with `--inspect`, asked over its debugging port. It is never halted. */
export class InspectedProcess {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;
  #takeChunk: ((chunk: string) => void) | undefined;

  /** Connects to the debugging port of a process on this machine. */
  static async open(port: number): Promise<InspectedProcess> {
    const { body } = await request(`http://127.0.0.1:${port}/json/list`);
    const [target] = (await body.json()) as readonly { readonly webSocketDebuggerUrl: string }[];
    if (target === undefined) throw new Error(`port ${port} debugs nothing`);
    const socket = new WebSocket(target.webSocketDebuggerUrl);
    const inspected = new InspectedProcess(socket);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve, { once: true });
      socket.addEventListener("error", () => reject(new Error(`port ${port} lets nobody debug`)), {
        once: true,
      });
    });
    return inspected;
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#take(JSON.parse(String(data)) as Reply));
    socket.addEventListener("close", () => this.#fail(new Error("the inspected process is gone")));
  }

  /**
   * The value of an expression in the process, passed on as JSON.
   *
   * @throws Error where it throws
   */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = (await this.#call("Runtime.evaluate", {
      expression,
      returnByValue: true,
    })) as { readonly result: { readonly value: T }; readonly exceptionDetails?: object };
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return result.value;
  }

  /** Has everything collected that nothing refers to. */
  async collectGarbage(): Promise<void> {
    await this.#call("HeapProfiler.collectGarbage", {});
  }

  /** Writes a heap snapshot, for the memory panel of Chrome's developer tools. */
  async writeHeapSnapshot(path: string): Promise<void> {
    const file = createWriteStream(path);
    this.#takeChunk = (chunk) => file.write(chunk);
    await this.#call("HeapProfiler.takeHeapSnapshot", { reportProgress: false });
    this.#takeChunk = undefined;
    file.end();
    await finished(file);
  }

  /** Begins to sample what the processor does, every so many microseconds. */
  async startProfile(sampleMicros: number): Promise<void> {
    await this.#call("Profiler.enable", {});
    await this.#call("Profiler.setSamplingInterval", { interval: sampleMicros });
    await this.#call("Profiler.start", {});
  }

  /** Ends what {@link startProfile} began, with the content of a `.cpuprofile`. */
  async stopProfile(): Promise<object> {
    const { profile } = (await this.#call("Profiler.stop", {})) as { readonly profile: object };
    return profile;
  }

  close(): void {
    this.#socket.close();
  }

  #call(method: string, params: object): Promise<object> {
    return new Promise((resolve, reject) => {
      const id = ++this.#calls;
      this.#waiting.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  #take({ id, method, params, result, error }: Reply): void {
    if (method === "HeapProfiler.addHeapSnapshotChunk") this.#takeChunk?.(params?.chunk ?? "");
    if (id === undefined) return;
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result ?? {});
    else waiting?.reject(new Error(error.message));
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
