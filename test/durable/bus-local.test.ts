import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLocalBus } from "../../src/durable/bus-local.ts";
import type { BusMessage } from "../../src/durable/session-bus.ts";

const message = (generation: number): BusMessage => ({
  kind: "supersede",
  client: { userId: "alice", clientId: "laptop" },
  generation,
});

describe("local bus", () => {
  test("BS1 every other member hears a message once, in order; its publisher does not", () => {
    const bus = createLocalBus();
    const members = [bus.member(), bus.member(), bus.member()] as const;
    const heard: string[] = [];
    for (const [i, member] of members.entries()) {
      member.subscribe("s", (m) => heard.push(`${i}:${m.kind === "supersede" ? m.generation : "?"}`));
    }
    members[0].publish("s", message(1));
    members[0].publish("s", message(2));
    members[2].publish("s", message(3));
    assert.deepEqual(heard, ["1:1", "2:1", "1:2", "2:2", "0:3", "1:3"]);
  });

  test("BS1 what is announced is heard once by every other member, whatever sessions it has", () => {
    const bus = createLocalBus();
    const members = [bus.member(), bus.member(), bus.member()] as const;
    const heard: string[] = [];
    for (const [i, member] of members.entries()) member.listen(({ kind }) => heard.push(`${i}:${kind}`));
    members[0].subscribe("", () => heard.push("a session's"));
    members[1].subscribe("", () => heard.push("a session's"));
    const disconnect = { kind: "disconnect", sessionId: "", userId: "u", clientId: "" } as const;
    members[0].announce(disconnect);
    members[1].announce({ kind: "revoked" });
    assert.deepEqual(heard, ["1:disconnect", "2:disconnect", "0:revoked", "2:revoked"]);
  });

  test("BS2 nothing is heard of announcements after the end of listening", () => {
    const bus = createLocalBus();
    const [from, to] = [bus.member(), bus.member()];
    let heard = 0;
    const end = to.listen(() => {
      heard += 1;
    });
    to.listen(() => {
      heard += 10;
    });
    from.announce({ kind: "revoked" });
    end();
    end();
    from.announce({ kind: "revoked" });
    from.publish("s", message(1));
    assert.equal(heard, 21);
  });

  test("BS2 a subscriber hears its session alone, and nothing after it unsubscribed", () => {
    const bus = createLocalBus();
    const [from, to] = [bus.member(), bus.member()];
    const heard: string[] = [];
    const unsubscribe = to.subscribe("s", () => heard.push("s"));
    to.subscribe("other", () => heard.push("other"));
    const again = to.subscribe("s", () => heard.push("s again"));
    from.publish("s", message(1));
    unsubscribe();
    unsubscribe();
    from.publish("s", message(2));
    again();
    from.publish("s", message(3));
    from.publish("none", message(4));
    assert.deepEqual(heard, ["s", "s again", "s again"]);
    to.subscribe("s", () => heard.push("s anew"));
    unsubscribe();
    from.publish("s", message(5));
    assert.equal(heard.at(-1), "s anew");
  });

  test("BS2 one who is unsubscribed by another's receive does not hear the message any more", () => {
    const bus = createLocalBus();
    const [from, to] = [bus.member(), bus.member()];
    const heard: string[] = [];
    const ends: (() => void)[] = [];
    to.subscribe("s", () => {
      heard.push("first");
      for (const end of ends) end();
    });
    ends.push(to.subscribe("s", () => heard.push("second")));
    from.publish("s", message(1));
    assert.deepEqual(heard, ["first"]);
  });

  test("BS3 a subscriber that throws stops neither the others nor the publisher", () => {
    const errors: unknown[] = [];
    const bus = createLocalBus((error) => errors.push(error));
    const [from, to] = [bus.member(), bus.member()];
    const fault = new Error("a subscriber's own fault");
    let heard = 0;
    to.subscribe("s", () => {
      throw fault;
    });
    to.subscribe("s", () => {
      heard += 1;
    });
    from.publish("s", message(1));
    to.listen(() => {
      throw fault;
    });
    to.listen(() => {
      heard += 1;
    });
    from.announce({ kind: "revoked" });
    assert.equal(heard, 2);
    assert.deepEqual(errors, [fault, fault]);
  });
});
