// However a peer goes, each runtime comes to the same end of it: a relay as an operator starts it, and the network in between.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Conversation } from "../../parity/conversation.ts";
import { overBidi } from "../../parity/ways/over-transport.ts";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { PresenceUpdate_Status as Status } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type RuntimeName, runtimeNames } from "../../src/runtime/this-runtime.ts";
import { freePort, RelayProcess } from "../../trial/relay-process.ts";
import { runtimes } from "../support/runtimes.ts";
import { createSocketTransport } from "../support/socket-transport.ts";
import { type Cut, startTcpProxy } from "../support/tcp-proxy.ts";

const secretText = "a secret of the tests, thirty-two bytes long";

const ways = {
  "Connect over HTTP/2": (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" }),
  "Connect over HTTP/1.1": (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  "gRPC-Web over HTTP/2": (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
  "a WebSocket": (baseUrl: string) => createSocketTransport(baseUrl, "binary"),
} as const;

type Going = Cut | "silence";

/** How it goes, and the reason by which its stream ends: nothing tells of a peer from whom nothing comes any more. */
const goings: readonly (readonly [how: Going, title: string, reason: string])[] = [
  ["fin", "its connection is closed", "OK"],
  ["rst", "its connection is reset", "OK"],
  ["silence", "nothing comes any more", "CLIENT_SILENT"],
];

/** Short times, so that what happens by time happens soon. */
const times = { BATON_LIMIT_HEARTBEAT_MS: "1000", BATON_LIMIT_LEAVE_GRACE_MS: "500" };

class Place {
  readonly relay: RelayProcess;
  readonly #folder: string;

  private constructor(relay: RelayProcess, folder: string) {
    this.relay = relay;
    this.#folder = folder;
  }

  static async open(runtime: RuntimeName): Promise<Place> {
    const folder = mkdtempSync(join(tmpdir(), "baton-vanish-"));
    const relay = new RelayProcess(runtime, await freePort(), folder, secretText, times);
    await relay.start();
    return new Place(relay, folder);
  }

  async talk(transport: ReturnType<(typeof ways)["a WebSocket"]>, name: string, session: string) {
    const scope = "session:edit session:custom";
    const claims = { sub: name, sessions: ["*"], scope, ttlSeconds: 600 };
    const token = await signDevelopmentToken(new TextEncoder().encode(secretText), claims, Date.now());
    const talk = new Conversation(overBidi(transport).carriage, { session, token });
    await talk.take("welcome");
    return talk;
  }

  /** What the relay counts under this name, by its labels. */
  async counted(name: string): Promise<Readonly<Record<string, number>>> {
    const text = await (await fetch(`${this.relay.url}/metrics`)).text();
    const lines = text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? ([0-9.e+]+)$`, "gm"));
    return Object.fromEntries([...lines].map(([, labels = "", value]) => [labels, Number(value)] as const));
  }

  async close(): Promise<void> {
    await this.relay.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((all, one) => all + one, 0);

/** Somebody behind a network that can be told to lose them, and a witness to whom it does nothing. */
async function startPeer(place: Place, [way, transportOf]: [string, (typeof ways)["a WebSocket"]], how: Going) {
  const { url } = place.relay;
  const session = `${way}-${how}`.replaceAll(/[^A-Za-z0-9]/g, "-");
  const witness = await place.talk(transportOf(url), "wanda", session);
  const proxy = await startTcpProxy(url);
  const peer = await place.talk(transportOf(proxy.url), "ann", session);
  const told = () =>
    witness.heard.flatMap(({ userId, payload }) =>
      payload.case === "presence" && userId === "ann" ? [payload.value.status] : [],
    );
  await witness.reach("JOINED", () => told().includes(Status.JOINED));
  return {
    witness,
    told,
    vanish() {
      proxy.onLink((link) => link.cut("rst"));
      for (const link of proxy.links) {
        if (how === "silence") link.hold();
        else link.cut(how);
      }
    },
    async close() {
      peer.cut();
      witness.finish();
      await witness.ended;
      await proxy.stop();
    },
  };
}

for (const runtime of runtimeNames) {
  const isThere = runtimes[runtime] !== "";
  describe(`a peer that vanishes, on ${runtime}${isThere ? "" : " (skipped: it is not installed)"}`, {
    skip: !isThere,
  }, () => {
    let place: Place;
    before(async () => {
      place = await Place.open(runtime);
    });
    after(() => place.close());

    for (const [how, title, reason] of goings) {
      test(`DN9 ${title}: one end, by its reason, and one LEFT, by each way`, async () => {
        const before = await place.counted("baton_stream_ends_total");
        const peers = await Promise.all(Object.entries(ways).map((way) => startPeer(place, way, how)));
        for (const { vanish } of peers) vanish();
        for (const { witness, told } of peers) await witness.reach("LEFT", () => told().includes(Status.LEFT));
        const ended = await place.counted("baton_stream_ends_total");
        const more = Object.entries(ended).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
        assert.deepEqual(
          more.filter(([, count]) => count > 0),
          [[`reason="${reason}"`, peers.length]],
        );
        // Nothing is left of them: whoever is there is a witness.
        assert.equal(sum(await place.counted("baton_streams")), peers.length);
        for (const { told } of peers) assert.deepEqual(told(), [Status.JOINED, Status.LEFT]);
        await Promise.all(peers.map(({ close }) => close()));
      });
    }
  });
}
