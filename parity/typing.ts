import { ChangeSet } from "@codemirror/state";
import { lineBreak } from "../src/session/text.ts";
import type { Participant } from "../trial/participant.ts";
import type { Scene } from "./scene.ts";

export const path = "shared.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Somewhere in the file that all type into: a word more, or some characters fewer. */
export function typeOnce({ connection, machine, name }: Participant, random: () => number, n: number): void {
  const text = machine.text(path);
  if (text === undefined) throw new Error(`${name} does not see the file`);
  const from = Math.floor(random() * (text.length + 1));
  const change =
    random() < 0.3
      ? { from, to: Math.min(text.length, from + Math.ceil(random() * 4)) }
      : { from, insert: random() < 0.2 ? `\n${name} ${n}` : `<${n}>` };
  connection.act((client) => client.edit(path, ChangeSet.of(change, text.length, lineBreak)));
}

/** These come in by the scene's way and see the file, which the first of them makes. */
export async function gather(scene: Scene, names: readonly string[]): Promise<readonly Participant[]> {
  const people = names.map((name) => scene.person(name));
  for (const { connection } of people) connection.open();
  people[0]?.connection.act((machine) => machine.createFile(path, "one\ntwo\n"));
  await scene.until("all see the file", () => people.every(({ machine }) => machine.text(path) !== undefined));
  return people;
}

/** All type at once. `between`: told before each edit. */
export async function typeAll(
  people: readonly Participant[],
  random: () => number,
  times: number,
  between: (person: Participant, n: number) => void = () => undefined,
): Promise<void> {
  const typing = people.map(async (person) => {
    for (let n = 1; n <= times; n++) {
      between(person, n);
      typeOnce(person, random, n);
      await pause(1 + Math.floor(random() * 20));
    }
  });
  await Promise.all(typing);
}
