import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { signDevelopmentToken } from "../src/auth/sign.ts";
import { bidiCarriage } from "../src/client/carriage-bidi.ts";
import { socketCarriage } from "../src/client/carriage-socket.ts";
import { splitCarriage } from "../src/client/carriage-split.ts";
import { CodeReviewService } from "../src/gen/codereview/v1/codereview_pb.ts";
import { ModernPerson } from "./modern.ts";
import { OriginalPerson } from "./original.ts";
import type { Person } from "./person.ts";
import type { Relay } from "./relay.ts";
import { createCurlTransport, hasCurl } from "./transports/curl.ts";
import { createGrpcJsTransport } from "./transports/grpc-js.ts";
import { createOfficialTransport } from "./transports/official.ts";
import { createSocketJsonTransport } from "./transports/socket-json.ts";

const scope = "session:edit session:comment session:custom";

export interface Cast {
  /** Makes the file. */
  readonly first: ModernPerson;
  /** Those who are there from the beginning, the first among them. */
  readonly people: readonly Person[];
  readonly late: Person;
  /** Clients whose program is not on this machine. */
  readonly missing: readonly { readonly client: string; readonly says: string }[];
  /** Reads the log, as somebody who has not joined. */
  readonly reader: Client<typeof CodeReviewService>;
  token(): Promise<string>;
}

/** One of each kind of client. */
export function gather({ url, grpcUrl }: Relay, session: string, secret: Uint8Array, random: () => number): Cast {
  const tokenOf = (user: string) => () =>
    signDevelopmentToken(secret, { sub: user, sessions: [session], scope, ttlSeconds: 3600 }, Date.now());
  const common = (name: string, user: string) => ({ name, user, session, random, token: tokenOf(user) });
  const clientOf = (transport: Parameters<typeof createClient>[1]) => createClient(CodeReviewService, transport);
  const connect = clientOf(createConnectTransport({ baseUrl: url, httpVersion: "2" }));
  const web = clientOf(createGrpcWebTransport({ baseUrl: url, httpVersion: "2" }));
  const native = clientOf(createGrpcJsTransport(grpcUrl));
  const official = createOfficialTransport(url);
  const curl = "Connect JSON, split, by curl";
  const byCurl = () => splitCarriage(clientOf(createCurlTransport(url)), Date.now);
  const first = new ModernPerson({ ...common("Connect, bidi", "ann"), carriage: bidiCarriage(connect) });
  return {
    first,
    people: [
      first,
      ...(hasCurl() ? [new ModernPerson({ ...common(curl, "curt"), carriage: byCurl() })] : []),
      new ModernPerson({
        ...common("gRPC-Web text, split, the official client", "olga"),
        carriage: splitCarriage(clientOf(official), Date.now),
        close: official.close,
      }),
      new ModernPerson({ ...common("gRPC, bidi, grpc-js", "greg"), carriage: bidiCarriage(native) }),
      new ModernPerson({
        ...common("WebSocket, binary, the platform's own", "wim"),
        carriage: socketCarriage({ url }),
      }),
      new ModernPerson({
        ...common("WebSocket, JSON, ws", "jo"),
        carriage: bidiCarriage(clientOf(createSocketJsonTransport(url))),
      }),
      new OriginalPerson({ ...common("gRPC, the original proto, grpc-js", "orla"), url: grpcUrl }),
    ],
    late: new ModernPerson({ ...common("gRPC-Web, bidi, joins late", "lea"), carriage: bidiCarriage(web) }),
    missing: hasCurl() ? [] : [{ client: curl, says: "curl is not on this machine" }],
    reader: connect,
    token: tokenOf("reader"),
  };
}
