import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { createConnectTransport as createFetchTransport } from "@connectrpc/connect-web";
import type { Carriage } from "../client/carriage.ts";
import { bidiCarriage } from "../client/carriage-bidi.ts";
import { chooseCarriage } from "../client/carriage-choice.ts";
import { socketCarriage } from "../client/carriage-socket.ts";
import { splitCarriage } from "../client/carriage-split.ts";
import { AdminService, CodeReviewService } from "../gen/codereview/v1/codereview_pb.ts";
import { assertNever } from "../session/reasons.ts";

export const carriageKinds = ["auto", "bidi", "socket", "split"] as const;
export type CarriageKind = (typeof carriageKinds)[number];

export type RelayClient = Client<typeof CodeReviewService>;
export type AdminClient = Client<typeof AdminService>;

/** Calls of a relay over a connection of their own, with what closes it. */
interface OwnConnection {
  readonly client: RelayClient;
  close(): void;
}

/** `baton join` and `baton log` on a relay. */
export function carriageTo(url: string, kind: CarriageKind): Carriage {
  switch (kind) {
    case "auto":
      return chooseCarriage(
        (["bidi", "socket", "split"] as const).map((name) => ({ name, carriage: carriageTo(url, name) })),
      );
    case "bidi":
      return ownConnection(url);
    case "socket":
      return socketCarriage({ url });
    case "split":
      return splitCarriage(createRelayClient(url), Date.now);
    default:
      return assertNever(kind);
  }
}

/**
 * Each stream has a connection of its own, closed with it: a stream that fell silent because its connection is dead would
 * otherwise be followed by another one on the same.
 */
function ownConnection(url: string): Carriage {
  return (call) => {
    const { client, close } = connect(url);
    const { listener } = call;
    const open = bidiCarriage(client)({
      ...call,
      listener: {
        ...listener,
        ended(end) {
          // Not at once: where HTTP/2 itself failed, a session that is let go before it has said so throws (connect-node 2.2).
          setTimeout(close, 0);
          listener.ended(end);
        },
      },
    });
    return {
      ...open,
      cut() {
        open.cut();
        close();
      },
    };
  };
}

function connect(url: string): OwnConnection {
  const sessionManager = new Http2SessionManager(url);
  const transport = createConnectTransport({ baseUrl: url, httpVersion: "2", sessionManager });
  return { client: createClient(CodeReviewService, transport), close: () => sessionManager.abort() };
}

/** Calls over `fetch`: all but streams both ways. */
export function createRelayClient(url: string): RelayClient {
  return createClient(CodeReviewService, createFetchTransport({ baseUrl: url, useBinaryFormat: true }));
}

export function createAdminClient(url: string): AdminClient {
  return createClient(AdminService, createFetchTransport({ baseUrl: url, useBinaryFormat: true }));
}
