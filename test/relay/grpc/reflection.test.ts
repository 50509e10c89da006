import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create, createFileRegistry, type DescService, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createConnectRouter } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { CodeReviewService, file_codereview_v1_codereview } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { Health } from "../../../src/gen/grpc/health/v1/health_pb.ts";
import * as v1 from "../../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import * as v1alpha from "../../../src/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { registerReflection } from "../../../src/relay/grpc/reflection.ts";
import { batonErrorFrom } from "../../../src/relay/wire/errors.ts";
import { serveGrpc } from "./serve.ts";

const contract = "codereview/v1/codereview.proto";
const services = [Health, CodeReviewService, v1.ServerReflection, v1alpha.ServerReflection];

type Question =
  | {
      readonly case: "fileContainingSymbol" | "fileByFilename" | "allExtensionNumbersOfType" | "listServices";
      readonly value: string;
    }
  | {
      readonly case: "fileContainingExtension";
      readonly value: { readonly containingType: string; readonly extensionNumber: number };
    };

type Requests = AsyncIterable<{ readonly messageRequest: Question }>;
type Reflect = (requests: Requests) => AsyncIterable<v1.ServerReflectionResponse | v1alpha.ServerReflectionResponse>;

/** The answers to these questions on one stream. */
async function ask(reflect: Reflect, ...questions: readonly Question[]) {
  async function* requests() {
    for (const messageRequest of questions) yield { messageRequest };
  }
  const answers: (v1.ServerReflectionResponse | v1alpha.ServerReflectionResponse)[] = [];
  for await (const answer of reflect(requests())) answers.push(answer);
  assert.equal(answers.length, questions.length);
  return answers.map(({ messageResponse }) => messageResponse);
}

type Answer = Awaited<ReturnType<typeof ask>>[number];

/** The names of the files in an answer. */
function filesIn(answer: Answer | undefined): readonly string[] {
  assert.equal(answer?.case, "fileDescriptorResponse");
  return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
}

function errorIn(answer: Answer | undefined): Code {
  assert.equal(answer?.case, "errorResponse");
  assert.notEqual(answer.value.errorMessage, "");
  return answer.value.errorCode;
}

const symbol = (value: string): Question => ({ case: "fileContainingSymbol", value });
const filename = (value: string): Question => ({ case: "fileByFilename", value });

describe("grpc.reflection", () => {
  let server: Awaited<ReturnType<typeof serveGrpc>>;
  let newest: Client<typeof v1.ServerReflection>;
  let versions: readonly Reflect[];
  before(async () => {
    server = await serveGrpc((router) => registerReflection(router, services, setImmediate));
    newest = server.client(v1.ServerReflection);
    const older = server.client(v1alpha.ServerReflection);
    versions = [
      (requests) => newest.serverReflectionInfo(requests),
      (requests) => older.serverReflectionInfo(requests),
    ];
  });
  after(() => server.stop());

  test("HR7 HR11 both versions list the services, in the order of their names", async () => {
    for (const reflect of versions) {
      const [answer] = await ask(reflect, { case: "listServices", value: "*" });
      assert.equal(answer?.case, "listServicesResponse");
      assert.deepEqual(
        answer.value.service.map(({ name }) => name),
        [
          "codereview.v1.CodeReviewService",
          "grpc.health.v1.Health",
          "grpc.reflection.v1.ServerReflection",
          "grpc.reflection.v1alpha.ServerReflection",
        ],
      );
    }
  });

  test("HR7 HR11 both versions give the file that declares a symbol, whole", async () => {
    for (const reflect of versions) {
      for (const question of [filename(contract), symbol("codereview.v1.CodeReviewService")]) {
        const [answer] = await ask(reflect, question);
        assert.equal(answer?.case, "fileDescriptorResponse");
        const [bytes = new Uint8Array()] = answer.value.fileDescriptorProto;
        assert.deepEqual(fromBinary(FileDescriptorProtoSchema, bytes), file_codereview_v1_codereview.proto);
      }
    }
  });

  test("HR7 every kind of symbol has its file", async () => {
    const symbols = [
      "codereview.v1.CodeReviewService",
      "codereview.v1.CodeReviewService.Publish",
      "codereview.v1.AdminService",
      "codereview.v1.SessionMessage",
      "codereview.v1.SessionMessage.session_id",
      "codereview.v1.SessionMessage.payload",
      "codereview.v1.PresenceUpdate.Status",
      "codereview.v1.PresenceUpdate.JOINED",
    ];
    const answers = await ask(newest.serverReflectionInfo, ...symbols.map(symbol));
    for (const [at, name] of symbols.entries()) assert.deepEqual(filesIn(answers[at]), [contract], name);
  });

  test("HR10 what is not there is an error in the answer, and the stream goes on", async () => {
    const absent = [
      symbol("codereview.v1.NoSuchMessage"),
      symbol("codereview.v1.PresenceUpdate.Status.JOINED"),
      symbol("codereview.v1"),
      symbol("JOINED"),
      symbol(contract),
      symbol(""),
      symbol("baton.store.v1.Snapshot"),
      symbol("__proto__"),
      filename("no/such/file.proto"),
      filename("codereview/v1/codereview"),
      filename("toString"),
    ];
    const answers = await ask(newest.serverReflectionInfo, ...absent, symbol("codereview.v1.Fault"));
    for (const [at, question] of absent.entries()) {
      assert.equal(errorIn(answers[at]), Code.NotFound, `${question.case} ${question.value}`);
    }
    assert.deepEqual(filesIn(answers.at(-1)), [contract]);
  });

  test("HR10 each answer has its request in it; one that asks for nothing is refused in its answer", async () => {
    async function* requests() {
      yield { host: "one", messageRequest: symbol("codereview.v1.Join") };
      yield { host: "two" };
      yield { host: "three", messageRequest: filename("none") };
    }
    const answers = [];
    for await (const answer of newest.serverReflectionInfo(requests())) answers.push(answer);
    assert.deepEqual(
      answers.map(({ validHost, originalRequest }) => [
        validHost,
        originalRequest?.host,
        originalRequest?.messageRequest,
      ]),
      [
        ["one", "one", symbol("codereview.v1.Join")],
        ["two", "two", { case: undefined }],
        ["three", "three", filename("none")],
      ],
    );
    assert.equal(errorIn(answers[1]?.messageResponse), Code.InvalidArgument);
  });

  test("HR9 a message has no extensions, and what is no message is not found", async () => {
    const [none, absent, service, extension] = await ask(
      newest.serverReflectionInfo,
      { case: "allExtensionNumbersOfType", value: "codereview.v1.Join" },
      { case: "allExtensionNumbersOfType", value: "codereview.v1.NoSuchMessage" },
      { case: "allExtensionNumbersOfType", value: "codereview.v1.CodeReviewService" },
      {
        case: "fileContainingExtension",
        value: { containingType: "codereview.v1.Join", extensionNumber: 1_000 },
      },
    );
    assert.equal(none?.case, "allExtensionNumbersResponse");
    assert.equal(none.value.baseTypeName, "codereview.v1.Join");
    assert.deepEqual(none.value.extensionNumber, []);
    assert.deepEqual([absent, service, extension].map(errorIn), [Code.NotFound, Code.NotFound, Code.NotFound]);
  });

  test("HR12 a stream on which nothing is asked ends with its deadline", async () => {
    const silent = new AbortController();
    async function* requests() {
      yield { messageRequest: symbol("codereview.v1.Join") };
      await new Promise((resolve) => silent.signal.addEventListener("abort", resolve));
    }
    const answers = newest.serverReflectionInfo(requests(), { timeoutMs: 200 })[Symbol.asyncIterator]();
    assert.equal((await answers.next()).done, false);
    await assert.rejects(
      answers.next(),
      (error) => error instanceof ConnectError && error.code === Code.DeadlineExceeded,
    );
    silent.abort();
  });
});

test("HR13 a stream answers 1,000 requests and lets others in between; one more ends it", async () => {
  let turns = 0;
  const server = await serveGrpc((router) =>
    registerReflection(router, services, (run) => {
      turns += 1;
      setImmediate(run);
    }),
  );
  try {
    async function* requests() {
      for (let asked = 0; asked <= 1_000; asked++) yield { messageRequest: symbol("codereview.v1.Join") };
    }
    let answers = 0;
    const reading = (async () => {
      for await (const _answer of server.client(v1.ServerReflection).serverReflectionInfo(requests())) answers += 1;
    })();
    await assert.rejects(
      reading,
      (error) => error instanceof ConnectError && batonErrorFrom(error)?.reason === "RATE_LIMITED",
    );
    assert.equal(answers, 1_000);
    assert.equal(turns, Math.floor(1_000 / 32));
    assert.deepEqual(server.reported, []);
  } finally {
    await server.stop();
  }
});

test("HR12 what waits for a request ends with the call, whatever becomes of the body", async () => {
  const router = createConnectRouter();
  registerReflection(router, services, setImmediate);
  const handler = router.handlers.find(({ service }) => service === v1.ServerReflection);
  async function* body() {
    const request = create(v1.ServerReflectionRequestSchema, { messageRequest: symbol("codereview.v1.Join") });
    yield encodeEnvelope(0, toBinary(v1.ServerReflectionRequestSchema, request));
    await new Promise(() => undefined);
  }
  const life = new AbortController();
  const response = await handler?.({
    httpVersion: "2",
    method: "POST",
    url: "http://relay.example/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    header: new Headers({ "content-type": "application/grpc" }),
    body: body(),
    signal: life.signal,
  });
  assert.ok(response?.body && Symbol.asyncIterator in response.body);
  const answers = response.body[Symbol.asyncIterator]();
  assert.equal((await answers.next()).done, false);
  const end = answers.next();
  life.abort();
  assert.equal((await end).done, true);
});

describe("grpc.reflection of files that import each other", () => {
  const message = [{ name: "Message" }];
  const method = { name: "Call", inputType: ".top.Message", outputType: ".top.Message" };
  const registry = createFileRegistry(
    create(FileDescriptorSetSchema, {
      file: [
        { name: "root.proto", package: "root", syntax: "proto3", messageType: message },
        { name: "left.proto", package: "left", syntax: "proto3", messageType: message, dependency: ["root.proto"] },
        { name: "right.proto", package: "right", syntax: "proto3", messageType: message, dependency: ["root.proto"] },
        {
          name: "top.proto",
          package: "top",
          syntax: "proto3",
          messageType: message,
          service: [{ name: "Service", method: [method] }],
          dependency: ["left.proto", "right.proto"],
        },
      ],
    }),
  );
  const service = registry.getService("top.Service");
  let server: Awaited<ReturnType<typeof serveGrpc>>;
  before(async () => {
    const described: readonly DescService[] = service === undefined ? [] : [service];
    server = await serveGrpc((router) => registerReflection(router, described, setImmediate));
  });
  after(() => server.stop());

  test("HR8 an answer has the file that was asked for, and behind it each one that it needs, once", async () => {
    const [whole] = await ask(server.client(v1.ServerReflection).serverReflectionInfo, symbol("top.Service"));
    assert.deepEqual(filesIn(whole), ["top.proto", "left.proto", "right.proto", "root.proto"]);
  });

  test("HR8 what a stream had is not sent on it again, unless it is what was asked for", async () => {
    const { serverReflectionInfo } = server.client(v1.ServerReflection);
    const answers = await ask(
      serverReflectionInfo,
      symbol("left.Message"),
      symbol("top.Service.Call"),
      filename("top.proto"),
      symbol("root.Message"),
    );
    assert.deepEqual(answers.map(filesIn), [
      ["left.proto", "root.proto"],
      ["top.proto", "right.proto"],
      ["top.proto"],
      ["root.proto"],
    ]);
    const [again] = await ask(serverReflectionInfo, symbol("left.Message"));
    assert.deepEqual(filesIn(again), ["left.proto", "root.proto"]);
  });
});
