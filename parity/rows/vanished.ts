import assert from "node:assert/strict";
import { PresenceUpdate_Status as Status } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { Cut } from "../../test/support/tcp-proxy.ts";
import type { CalmRow } from "../row.ts";
import type { Scene } from "../scene.ts";

/** How a peer goes: its connection is closed, is reset, or nothing comes any more and nothing tells. */
type Going = Cut | "silence";

export const vanishedFin = vanished(
  "fin",
  "vanished (FIN)",
  "whose connection is closed has left, once, after the grace",
);
export const vanishedReset = vanished(
  "rst",
  "vanished (RST)",
  "whose connection is reset has left, once, after the grace",
);
export const vanishedSilently = vanished(
  "silence",
  "vanished (half-open)",
  "of whom nothing comes any more, without a word, has left, once, after it was silent for long and the grace",
);

function vanished(going: Going, name: string, says: string): CalmRow {
  return { kind: "calm", name, says, run: (scene) => run(scene, going) };
}

async function run(scene: Scene, going: Going): Promise<void> {
  const witness = await scene.talk("wanda");
  await witness.take("welcome");
  const proxy = await scene.proxy();
  const ann = scene.user("ann");
  const gone = await scene.talk("ann", { entrance: proxy.entrance });
  await gone.take("welcome");
  const told = () =>
    witness.heard.flatMap(({ userId, payload }) =>
      payload.case === "presence" && userId === ann ? [payload.value.status] : [],
    );
  await witness.reach("JOINED", () => told().includes(Status.JOINED));
  // A client that cannot reach the relay tries again; nothing new comes through.
  proxy.onLink((link) => link.cut("rst"));
  for (const link of proxy.links) {
    if (going === "silence") link.hold();
    else link.cut(going);
  }
  await witness.reach("LEFT", () => told().includes(Status.LEFT));
  const later = await scene.talk("carl");
  const { participants } = await later.take("welcome");
  assert.equal(told().filter((status) => status === Status.LEFT).length, 1);
  assert.equal(
    participants.some(({ userId }) => userId === ann),
    false,
  );
}
