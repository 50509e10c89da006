// Clients that know nothing of a server but its address: what they call, they learned by reflection.
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  makeClientConstructor,
} from "@grpc/grpc-js";
import {
  type AnyDefinition,
  loadFileDescriptorSetFromBuffer,
  loadSync,
  type Options,
  type ServiceDefinition,
} from "@grpc/proto-loader";

export type ServiceClient = InstanceType<ReturnType<typeof makeClientConstructor>>;

const proto = join(import.meta.dirname, "../../../proto");
const options: Options = { longs: String, enums: String, oneofs: true, keepCase: true, includeDirs: [proto] };

const isService = (definition: AnyDefinition | undefined): definition is ServiceDefinition =>
  definition !== undefined && !("format" in definition);

function connect(address: string, definition: AnyDefinition | undefined): ServiceClient {
  if (!isService(definition)) throw new Error("there is no such service");
  return new (makeClientConstructor(definition, "service"))(address, credentials.createInsecure());
}

interface ReflectionAnswer {
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] };
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Uint8Array[] };
}

/** Asks on one stream of reflection, in this version of it. */
async function ask(address: string, version: "v1" | "v1alpha", questions: readonly object[]) {
  const definitions = loadSync(`grpc/reflection/${version}/reflection.proto`, options);
  const client = connect(address, definitions[`grpc.reflection.${version}.ServerReflection`]);
  const call: ClientDuplexStream<object, ReflectionAnswer> = client.ServerReflectionInfo?.();
  for (const question of questions) call.write(question);
  call.end();
  const answers: readonly ReflectionAnswer[] = await Array.fromAsync(call);
  client.close();
  return answers;
}

export async function listServices(address: string, version: "v1" | "v1alpha"): Promise<readonly string[]> {
  const [answer] = await ask(address, version, [{ list_services: "" }]);
  return answer?.list_services_response?.service.map(({ name }) => name) ?? [];
}

/** A client of a service, from the descriptors that the server gives. */
export async function reflectedClient(address: string, service: string): Promise<ServiceClient> {
  const [answer] = await ask(address, "v1", [{ file_containing_symbol: service }]);
  const file = (answer?.file_descriptor_response?.file_descriptor_proto ?? []).map((bytes) =>
    fromBinary(FileDescriptorProtoSchema, bytes),
  );
  const set = Buffer.from(toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file })));
  return connect(address, loadFileDescriptorSetFromBuffer(set, options)[service]);
}

export function withToken(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

/** One answer to one message. */
export function callOnce(client: ServiceClient, method: string, request: object, metadata = new Metadata()) {
  return new Promise<object>((resolve, reject) => {
    client[method]?.(request, metadata, (error: Error | null, response: object) => {
      if (error === null) resolve(response);
      else reject(error);
    });
  });
}

/** The answers to one message. */
export function callStream(client: ServiceClient, method: string, request: object, metadata = new Metadata()) {
  const call: ClientReadableStream<object> = client[method]?.(request, metadata);
  return call;
}
