import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { SessionMessage } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { SessionMessageSchema } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { admit } from "../../../src/session/admit.ts";
import { OriginalView } from "../../../src/session/original/view.ts";
import { snapshotParts } from "../../../src/session/snapshot-parts.ts";
import { textContent } from "../../../src/session/text.ts";
import { edit, overWire, Random, Session, submission } from "../support.ts";
import { type Habit, LinesClient } from "./lines-client.ts";

const paths = ["a.ts", "b.ts"];
const words = ["x", "", "", "yy", "😀", "z\r", "  "];

/** What a client says of the version that it writes on. */
type Counting = "told" | "zero" | "own" | "old";

/** A client of the original contract, its view in the relay, and what is on its way between the two. */
class Peer {
  readonly client = new LinesClient();
  readonly up: {
    readonly path: string;
    readonly lineNumber: number;
    readonly content: string;
    readonly version: number;
  }[] = [];
  readonly down: SessionMessage[] = [];
  readonly view: OriginalView;
  readonly id: string;
  readonly habit: Habit;
  readonly counting: Counting;
  /** Records that its view has been given. */
  position = 0;
  clientSeq = 0;
  editedPath = "";

  constructor(id: string, habit: Habit, counting: Counting) {
    this.id = id;
    this.habit = habit;
    this.counting = counting;
    this.view = new OriginalView(`user-${id}`, id);
  }

  write(random: Random): void {
    const path = random.pick(paths);
    const count = this.client.lines(path).length;
    const lineNumber = 1 + random.below(count + 1);
    const content = random.chance(0.1) ? `${random.pick(words)}\n${random.pick(words)}` : random.pick(words);
    this.client.write(path, lineNumber, content, this.habit);
    this.up.push({ path, lineNumber, content, version: this.#version(random, path) });
  }

  #version(random: Random, path: string): number {
    const told = this.client.versions.get(path) ?? 0;
    switch (this.counting) {
      case "told":
        return told;
      case "zero":
        return 0;
      case "own":
        this.client.versions.set(path, told + 1);
        return told;
      case "old":
        return Math.max(0, told - random.below(3));
    }
  }
}

class World {
  readonly session = new Session();
  readonly random: Random;
  readonly peers: Peer[] = [];
  readonly outcomes = new Map<string, number>();
  /** Files of which a line was removed, or that were deleted. */
  readonly shrunk = new Set<string>();
  readonly #removes: boolean;
  #names = 0;

  /** `removes`: whether anybody ever takes a line away. */
  constructor(seed: number, removes: boolean) {
    this.random = new Random(seed);
    this.#removes = removes;
  }

  join(habit: Habit = "whole"): Peer {
    const { random } = this;
    const peer = new Peer(`o${++this.#names}`, habit, random.pick(["told", "zero", "own", "old"]));
    if (random.chance(0.5)) {
      // Its log was trimmed: what is missing comes as a snapshot.
      const parts = [...snapshotParts(this.session.state)].map((value) =>
        create(SessionMessageSchema, { payload: { case: "snapshot", value } }),
      );
      peer.down.push(...tell(peer, parts));
      peer.position = this.session.log.length;
    }
    this.peers.push(peer);
    return peer;
  }

  /** The relay takes the next thing that a peer has sent. A refusal ends its stream, and it comes back. */
  take(peer: Peer): void {
    const sent = peer.up.shift();
    if (sent === undefined) return;
    const payload = edit({ filePath: sent.path, ...sent });
    if (payload.case !== "edit") return;
    peer.clientSeq += 1;
    peer.view.sent(peer.clientSeq, payload.value);
    const { state, limits, log } = this.session;
    const lines = this.#lines(sent.path);
    const original = { editedPath: sent.path, linesShown: (path: string) => peer.view.linesShown(path) };
    const result = admit(state, submission(peer.id, peer.clientSeq, payload, { original }), 1, limits);
    this.#count(result.kind === "refused" ? result.reason : result.kind);
    if (result.kind === "admitted") {
      log.push({ message: overWire(result.message), payloadHash: result.logged.payloadHash });
      this.#noteShrunk(sent.path, lines);
    } else {
      this.peers.splice(this.peers.indexOf(peer), 1);
      this.join();
    }
  }

  /** Somebody else does something that the original contract cannot say. */
  edit(): void {
    const { random, session } = this;
    const filePath = random.pick(paths);
    const file = session.state.files.get(filePath);
    const lines = this.#lines(filePath);
    const version = file?.deleted === false ? file.version : 0;
    const length = file?.text.length ?? 0;
    const from = random.below(length + 1);
    const upTo = Math.min(length, from + random.below(6));
    const to = this.#removes || file?.text.lineAt(from).number === file?.text.lineAt(upTo).number ? upTo : from;
    const insert = random.pick(["q", "\n", "", "new\nline", "\n\n", "a\nb\nc"]);
    const gone = this.#removes && file?.deleted === false && random.chance(0.03);
    const outcome = session.outcome(
      random.pick(["c1", "c2"]),
      gone ? edit({ filePath, version, deleted: true }) : edit({ filePath, version, changes: [{ from, to, insert }] }),
    );
    if (outcome === "admitted") this.#noteShrunk(filePath, gone ? Number.MAX_SAFE_INTEGER : lines);
  }

  /** The relay tells a peer some of what it has not been told. */
  tell(peer: Peer, count: number): void {
    const records = this.session.log.slice(peer.position, peer.position + count).map(({ message }) => message);
    peer.position += records.length;
    peer.down.push(...tell(peer, records));
  }

  step(): void {
    const { random } = this;
    const peer = this.peers.length === 0 ? this.join() : random.pick(this.peers);
    const roll = random.next();
    if (roll < 0.2) peer.write(random);
    else if (roll < 0.4) this.take(peer);
    else if (roll < 0.55) this.edit();
    else if (roll < 0.75) this.tell(peer, 1 + random.below(4));
    else if (roll < 0.97) for (const message of peer.down.splice(0, 1 + random.below(5))) peer.client.hear(message);
    else if (this.peers.length < 3) this.join();
  }

  settle(): void {
    for (let peer = this.peers.find(({ up }) => up.length > 0); peer !== undefined; ) {
      this.take(peer);
      peer = this.peers.find(({ up }) => up.length > 0);
    }
    for (const peer of this.peers) {
      this.tell(peer, Number.MAX_SAFE_INTEGER);
      for (const message of peer.down.splice(0)) peer.client.hear(message);
    }
  }

  #lines(path: string): number {
    return this.session.state.files.get(path)?.text.lines ?? 0;
  }

  #noteShrunk(path: string, before: number): void {
    if (this.#lines(path) < before) this.shrunk.add(path);
  }

  #count(outcome: string): void {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }
}

function tell(peer: Peer, messages: readonly SessionMessage[]): SessionMessage[] {
  return [...peer.view.tell(messages)].filter((told) => told !== undefined).map(overWire);
}

function assertShows(world: World, peer: Peer, label: string): void {
  for (const path of paths) {
    const file = world.session.state.files.get(path);
    const lines = peer.client.lines(path);
    if (file === undefined || file.deleted) {
      assert.ok(
        lines.every((line) => line === ""),
        `${label}: ${path} is gone`,
      );
      continue;
    }
    const text = textContent(file.text);
    const surplus = lines.slice(file.text.lines);
    assert.equal(lines.slice(0, file.text.lines).join("\n"), text, `${label}: ${path}`);
    assert.ok(
      surplus.every((line) => line === ""),
      `${label}: what is gone of ${path} is not empty`,
    );
    if (!world.shrunk.has(path)) assert.equal(surplus.length, 0, `${label}: ${path} has too many lines`);
  }
}

describe("clients of the original contract", () => {
  /** What became of what the clients sent, over many runs. */
  function run(seeds: number, removes: boolean): Map<string, number> {
    const outcomes = new Map<string, number>();
    for (let seed = 1; seed <= seeds; seed++) {
      const world = new World(seed, removes);
      for (let step = 0; step < 250; step++) world.step();
      const late = world.join();
      world.settle();
      for (const peer of world.peers) assertShows(world, peer, `seed ${seed}, ${peer.id}, ${peer.counting}`);
      assert.ok(world.peers.includes(late) && (removes || world.shrunk.size === 0));
      for (const [outcome, count] of world.outcomes) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + count);
    }
    return outcomes;
  }

  test("OC5 OC6 show the session's lines, and empty ones where lines were removed", () => {
    const outcomes = run(250, true);
    assert.ok((outcomes.get("admitted") ?? 0) > 5_000);
    // The one thing that a client can do wrong in good faith: it writes into a file that was deleted meanwhile.
    assert.deepEqual([...outcomes.keys()].sort(), ["FILE_DELETED", "admitted"]);
  });

  test("OC5 OC6 show each file as it is where no line was removed", () => {
    const outcomes = run(150, false);
    assert.ok((outcomes.get("admitted") ?? 0) > 3_000);
    assert.deepEqual([...outcomes.keys()], ["admitted"]);
  });

  test("OC6 a client that makes lines of line breaks shows the file as it is, too, where nobody writes at the same time", () => {
    const random = new Random(7);
    const world = new World(7, false);
    const peer = world.join("split");
    for (let round = 0; round < 200; round++) {
      if (random.chance(0.7)) peer.write(random);
      else world.edit();
      world.settle();
      assertShows(world, peer, `round ${round}`);
    }
    assert.ok((world.outcomes.get("admitted") ?? 0) > 100);
  });
});
