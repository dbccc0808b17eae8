import {
  create,
  type DescFile,
  type DescMessage,
  type DescService,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import {
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.js";
import {
  ServerReflectionRequestSchema as AlphaRequestSchema,
  ServerReflectionResponseSchema as AlphaResponseSchema,
  ServerReflection as ServerReflectionAlpha,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

/** Both versions of the reflection service; they differ in nothing but the name. */
export interface ReflectionServices {
  readonly v1: ServiceImpl<typeof ServerReflection>;
  readonly v1alpha: ServiceImpl<typeof ServerReflectionAlpha>;
}

/** Describes `services`, itself, and everything that they refer to. */
export function createReflectionServices(services: readonly DescService[]): ReflectionServices {
  const all = [...services, ServerReflection, ServerReflectionAlpha];
  const catalogue = new Catalogue(all);
  const names = all.map((service) => service.typeName).sort();
  const respond = (request: ServerReflectionRequest) =>
    create(ServerReflectionResponseSchema, {
      validHost: request.host,
      originalRequest: request,
      messageResponse: answer(request, catalogue, names),
    });
  return {
    v1: {
      async *serverReflectionInfo(requests) {
        for await (const request of requests) yield respond(request);
      },
    },
    // The two versions have the same messages under other names, so that their bytes are interchangeable.
    v1alpha: {
      async *serverReflectionInfo(requests) {
        for await (const request of requests) {
          const bytes = toBinary(AlphaRequestSchema, request);
          const response = respond(fromBinary(ServerReflectionRequestSchema, bytes));
          yield fromBinary(AlphaResponseSchema, toBinary(ServerReflectionResponseSchema, response));
        }
      },
    },
  };
}

function answer(
  { messageRequest: request }: ServerReflectionRequest,
  catalogue: Catalogue,
  names: readonly string[],
): Answer {
  switch (request.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: names.map((name) => ({ name })) } };
    case "fileByFilename":
      return files(catalogue.byPath(request.value), `no file ${request.value}`);
    case "fileContainingSymbol":
      return files(catalogue.bySymbol(request.value), `no symbol ${request.value}`);
    // None of the served files declares an extension.
    case "fileContainingExtension":
      return fault(
        Code.NotFound,
        `no extension ${request.value.extensionNumber} of ${request.value.containingType}`,
      );
    case "allExtensionNumbersOfType":
      return catalogue.isMessage(request.value)
        ? {
            case: "allExtensionNumbersResponse",
            value: { baseTypeName: request.value, extensionNumber: [] },
          }
        : fault(Code.NotFound, `no message ${request.value}`);
    case undefined:
      return fault(Code.InvalidArgument, "the request asks for nothing");
  }
}

function files(found: readonly Uint8Array[] | undefined, message: string): Answer {
  if (found === undefined) return fault(Code.NotFound, message);
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: [...found] } };
}

function fault(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}

/** The descriptor files of some services, with what they import. */
class Catalogue {
  /** By the path under which other files import them. */
  readonly #files = new Map<string, DescFile>();
  /** By full name, for everything that a file declares. */
  readonly #symbols = new Map<string, DescFile>();
  readonly #messages = new Set<string>();

  constructor(services: readonly DescService[]) {
    for (const service of services) this.#addFile(service.file);
  }

  byPath(path: string): Uint8Array[] | undefined {
    const file = this.#files.get(path);
    return file === undefined ? undefined : withImports(file);
  }

  bySymbol(name: string): Uint8Array[] | undefined {
    const file = this.#symbols.get(name.replace(/^\./, ""));
    return file === undefined ? undefined : withImports(file);
  }

  isMessage(name: string): boolean {
    return this.#messages.has(name);
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const dependency of file.dependencies) this.#addFile(dependency);
    for (const message of file.messages) this.#addMessage(message, file);
    for (const description of file.enums) {
      this.#symbols.set(description.typeName, file);
      const scope = description.typeName.slice(0, description.typeName.lastIndexOf(".") + 1);
      for (const value of description.values) this.#symbols.set(`${scope}${value.name}`, file);
    }
    for (const service of file.services) {
      this.#symbols.set(service.typeName, file);
      for (const method of service.methods) this.#symbols.set(`${service.typeName}.${method.name}`, file);
    }
  }

  #addMessage(message: DescMessage, file: DescFile): void {
    this.#messages.add(message.typeName);
    this.#symbols.set(message.typeName, file);
    for (const field of message.fields) this.#symbols.set(`${message.typeName}.${field.name}`, file);
    for (const oneof of message.oneofs) this.#symbols.set(`${message.typeName}.${oneof.name}`, file);
    for (const description of message.nestedEnums) {
      this.#symbols.set(description.typeName, file);
      for (const value of description.values) this.#symbols.set(`${message.typeName}.${value.name}`, file);
    }
    for (const nested of message.nestedMessages) this.#addMessage(nested, file);
  }
}

/** The file first, then everything that it imports, each once. */
function withImports(file: DescFile): Uint8Array[] {
  const seen = new Map<string, DescFile>();
  const visit = (next: DescFile) => {
    if (seen.has(next.proto.name)) return;
    seen.set(next.proto.name, next);
    next.dependencies.forEach(visit);
  };
  visit(file);
  return [...seen.values()].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
}
