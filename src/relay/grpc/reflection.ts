// gRPC's server reflection: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
import type { DescService } from "@bufbuild/protobuf";
import { Code, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import * as v1 from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import * as v1alpha from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { BatonError } from "../../session/reasons.ts";
import type { RelayContext } from "../context.ts";
import { untilAborted } from "../until-aborted.ts";
import { collectFiles, type DeclaredFile, type DeclaredFiles } from "./declared-files.ts";

/** The two versions differ in their names alone. */
type Request = v1.ServerReflectionRequest | v1alpha.ServerReflectionRequest;

type Answer =
  | { readonly case: "fileDescriptorResponse"; readonly value: { readonly fileDescriptorProto: Uint8Array[] } }
  | { readonly case: "allExtensionNumbersResponse"; readonly value: { readonly baseTypeName: string } }
  | { readonly case: "listServicesResponse"; readonly value: { readonly service: { readonly name: string }[] } }
  | {
      readonly case: "errorResponse";
      readonly value: { readonly errorCode: Code; readonly errorMessage: string };
    };

/** Requests of one stream: a tool asks for each symbol of the contract once, some 300. Whoever has more to ask opens another. */
const maxRequests = 1_000;
/** Of those, the ones that are answered in one turn of the event loop: an empty question of 7 bytes costs 0.1 ms and more. */
const requestsPerTurn = 32;

/**
 * `grpc.reflection.v1.ServerReflection`, and `v1alpha` for older clients. It needs no token, since it tells what the
 * public contract says. What it cannot answer it says in an answer; the stream lives on.
 */
export function registerReflection(
  router: ConnectRouter,
  services: readonly DescService[],
  defer: RelayContext["defer"],
): void {
  const files = collectFiles(services);
  const serviceNames = services.map(({ typeName }) => typeName).sort();

  async function* reflect<R extends Request>(requests: AsyncIterable<R>, { signal }: HandlerContext) {
    const sent = new Set<string>();
    let asked = 0;
    for await (const request of untilAborted(requests, signal)) {
      asked += 1;
      if (asked > maxRequests) {
        throw new BatonError("RATE_LIMITED", `a reflection stream takes ${maxRequests} requests; open another`);
      }
      if (asked % requestsPerTurn === 0) await new Promise<void>((resolve) => defer(resolve));
      const messageResponse = answer(request.messageRequest, { files, serviceNames, sent });
      yield { validHost: request.host, originalRequest: request, messageResponse };
    }
  }

  router.service(v1.ServerReflection, { serverReflectionInfo: reflect });
  router.service(v1alpha.ServerReflection, { serverReflectionInfo: reflect });
}

interface Known {
  readonly files: DeclaredFiles;
  readonly serviceNames: readonly string[];
  /** Names of the files that this stream had. */
  readonly sent: Set<string>;
}

function answer(question: Request["messageRequest"], { files, serviceNames, sent }: Known): Answer {
  switch (question.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: serviceNames.map((name) => ({ name })) } };
    case "fileByFilename":
      return describe(files.byName(question.value), sent);
    case "fileContainingSymbol":
      return describe(files.bySymbol(question.value), sent);
    case "fileContainingExtension":
      return failure(Code.NotFound, "no message of these services is extended");
    case "allExtensionNumbersOfType":
      if (!files.isMessage(question.value)) return failure(Code.NotFound, "there is no such message");
      return { case: "allExtensionNumbersResponse", value: { baseTypeName: question.value } };
    default:
      return failure(Code.InvalidArgument, "the request asks for nothing that is known here");
  }
}

function describe(file: DeclaredFile | undefined, sent: Set<string>): Answer {
  if (file === undefined) return failure(Code.NotFound, "no service here stands on such a file or symbol");
  const files = withImports(file, sent);
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: files.map(({ bytes }) => bytes) } };
}

/** A file, and behind it all that it needs and that was not sent before. The file itself goes again: it is the answer. */
function withImports(file: DeclaredFile, sent: Set<string>): readonly DeclaredFile[] {
  const answer = [file];
  sent.add(file.name);
  for (const { imports } of answer) {
    for (const needed of imports) {
      if (sent.has(needed.name)) continue;
      sent.add(needed.name);
      answer.push(needed);
    }
  }
  return answer;
}

const failure = (errorCode: Code, errorMessage: string): Answer => ({
  case: "errorResponse",
  value: { errorCode, errorMessage },
});
