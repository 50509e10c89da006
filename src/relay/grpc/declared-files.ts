import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { assertNever } from "../../session/reasons.ts";

/** A `.proto` file. */
export interface DeclaredFile {
  /** As imports call it. */
  readonly name: string;
  /** A serialized `google.protobuf.FileDescriptorProto`. */
  readonly bytes: Uint8Array;
  readonly imports: readonly DeclaredFile[];
}

export interface DeclaredFiles {
  byName(name: string): DeclaredFile | undefined;
  /** The file that declares this: a service, method, message, field, oneof, enum, value or extension, by its full name. */
  bySymbol(symbol: string): DeclaredFile | undefined;
  isMessage(typeName: string): boolean;
}

/** The files that declare some services, and all that these import. */
export function collectFiles(services: readonly DescService[]): DeclaredFiles {
  const byName = new Map<string, DeclaredFile>();
  const bySymbol = new Map<string, DeclaredFile>();
  const messages = new Set<string>();

  function declare(file: DescFile): DeclaredFile {
    const { name } = file.proto;
    const known = byName.get(name);
    if (known !== undefined) return known;
    const bytes = toBinary(FileDescriptorProtoSchema, file.proto);
    const declared = { name, bytes, imports: file.dependencies.map(declare) };
    byName.set(name, declared);
    for (const symbol of symbolsIn(file)) bySymbol.set(symbol, declared);
    for (const type of nestedTypes(file)) if (type.kind === "message") messages.add(type.typeName);
    return declared;
  }

  for (const { file } of services) declare(file);
  return {
    byName: (name) => byName.get(name),
    bySymbol: (symbol) => bySymbol.get(symbol),
    isMessage: (typeName) => messages.has(typeName),
  };
}

function* symbolsIn(file: DescFile): Generator<string> {
  for (const type of nestedTypes(file)) {
    yield type.typeName;
    switch (type.kind) {
      case "message":
        for (const { name } of [...type.fields, ...type.oneofs]) yield `${type.typeName}.${name}`;
        break;
      case "enum":
        // A value stands beside its enum, not in it.
        for (const { name } of type.values) yield type.typeName.slice(0, -type.name.length) + name;
        break;
      case "service":
        for (const { name } of type.methods) yield `${type.typeName}.${name}`;
        break;
      case "extension":
        break;
      default:
        assertNever(type);
    }
  }
}
