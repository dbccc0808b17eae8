import type { DescMessage, Message, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

/** Collects what is wrong with a message, by field. */
export class Faults {
  readonly #faults: string[] = [];
  readonly #limit = 10;

  /** Notes `problem` for the field at `path`, written as in the proto files: `tasks[2].index_uid`. */
  add(path: string, problem: string): void {
    if (this.#faults.length < this.#limit) this.#faults.push(`${path}: ${problem}`);
  }

  /** Notes a fault where `holds` is false. */
  check(holds: boolean, path: string, problem: string): void {
    if (!holds) this.add(path, problem);
  }

  /** One line with every fault; undefined where there is none. */
  text(): string | undefined {
    return this.#faults.length === 0 ? undefined : this.#faults.join("; ");
  }
}

/** Checks one message. */
export type Validator<T extends Message> = (message: T, faults: Faults) => void;

/** Validators by the full name of the message. */
export class ValidatorTable {
  readonly #validators = new Map<string, (message: unknown, faults: Faults) => void>();

  /** Has messages of `schema` checked by `validator`. */
  add<D extends DescMessage>(schema: D, validator: Validator<MessageShape<D>>): this {
    this.#validators.set(schema.typeName, (message, faults) => validator(message as MessageShape<D>, faults));
    return this;
  }

  /** What is wrong with a message; undefined where nothing is, or nothing is checked. */
  faultsOf(message: Message): string | undefined {
    const faults = new Faults();
    this.#validators.get(message.$typeName)?.(message, faults);
    return faults.text();
  }
}

/** Refuses requests that `table` finds fault with, as INVALID_ARGUMENT with the path of every fault. Messages of streams are their services' to check. */
export function validateRequests(table: ValidatorTable): Interceptor {
  return (next) => (request) => {
    if (!request.stream) {
      const faults = table.faultsOf(request.message);
      if (faults !== undefined) throw new ConnectError(faults, Code.InvalidArgument);
    }
    return next(request);
  };
}
