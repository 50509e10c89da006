import type { JoinAction } from "./join-action.ts";
import { chatType } from "./join-words.ts";

export type TypedLine =
  | JoinAction
  /** To the last line of a file, whatever is there when it is done. */
  | { readonly kind: "append"; readonly value: { readonly path: string; readonly content: string } }
  | { readonly kind: "help" }
  | { readonly kind: "nothing" }
  | { readonly kind: "wrong"; readonly message: string };

export const helpText = [
  "files                      the files",
  "show a.ts                  a file, with line numbers",
  "edit a.ts 3 some text      line 3 is now this text; one past the last line adds one",
  "append a.ts some text      a new last line; makes the file where there is none",
  "delete a.ts                the file goes",
  "comment a.ts 3 some text   about line 3",
  "resolve <id>               the comment is settled",
  "say some text              to everybody",
  "rotate                     renew the token",
  "quit                       leave (so does Ctrl-C)",
  'A path with spaces stands in double quotes: show "my file.ts"',
];

/** A line that a person typed. */
export function parseTypedLine(typed: string): TypedLine {
  const [, command = "", rest = ""] = /^\s*(\S*)\s?(.*)$/s.exec(typed) ?? [];
  switch (command) {
    case "":
      return { kind: "nothing" };
    case "help":
    case "?":
      return { kind: "help" };
    case "files":
      return { kind: "files", value: true };
    case "rotate":
      return { kind: "rotate", value: true };
    case "quit":
    case "exit":
      return { kind: "leave", value: true };
    case "show":
    case "delete":
    case "append":
      return parsePathCommand(command, rest);
    case "edit":
    case "comment":
      return parseLineCommand(command, rest);
    case "resolve":
      return rest.trim() === ""
        ? { kind: "wrong", message: "resolve what? Write: resolve <id>" }
        : { kind: "resolve", value: { id: rest.trim(), resolved: true } };
    case "say":
      return rest.trim() === ""
        ? { kind: "nothing" }
        : { kind: "custom", value: { type: chatType, text: rest, ephemeral: false } };
    default:
      return { kind: "wrong", message: `there is no command ${command}; type help for those that are` };
  }
}

const wrongPath = (command: string) =>
  ({ kind: "wrong", message: `${command} which file? Write: ${command} a.ts` }) as const;

function parsePathCommand(command: "show" | "delete" | "append", rest: string): TypedLine {
  const taken = takePath(rest);
  if (taken === undefined) return wrongPath(command);
  const { path, rest: content } = taken;
  switch (command) {
    case "show":
      return { kind: "show", value: path };
    case "delete":
      return { kind: "delete", value: { path } };
    case "append":
      return { kind: "append", value: { path, content } };
  }
}

function parseLineCommand(command: "edit" | "comment", rest: string): TypedLine {
  const taken = takePath(rest);
  if (taken === undefined) return wrongPath(command);
  const { path } = taken;
  const [, digits = "", text = ""] = /^\s*([0-9]{1,9})(?:\s(.*))?$/s.exec(taken.rest) ?? [];
  const line = Number(digits);
  if (line < 1) return { kind: "wrong", message: `${command} which line? Write: ${command} a.ts 3 some text` };
  return command === "edit"
    ? { kind: "line", value: { path, line, content: text } }
    : { kind: "comment", value: { path, line, text, parent: "" } };
}

function takePath(text: string): { readonly path: string; readonly rest: string } | undefined {
  const [, quoted, bare, rest = ""] = /^\s*(?:"([^"]+)"|([^\s"]+))(?:\s(.*))?$/s.exec(text) ?? [];
  const path = quoted ?? bare;
  return path === undefined ? undefined : { path, rest };
}
