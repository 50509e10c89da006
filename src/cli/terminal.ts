import process from "node:process";
import { createInterface } from "node:readline";
import { parseTypedLine, type TypedLine } from "./join-command-line.ts";

export interface Terminal {
  /** Above the line that is being typed, which stays as it is. */
  print(text: string): void;
  lines(): AsyncGenerator<TypedLine>;
  close(): void;
}

/** Typed lines with editing and history. `onInterrupt`: Ctrl-C, which a terminal in this mode sends to nobody else. */
export function openTerminal(onInterrupt: () => void): Terminal {
  const { stdin: input, stdout: output } = process;
  const editor = createInterface({ input, output, prompt: "> " });
  let isOpen = true;
  editor.on("SIGINT", onInterrupt);
  editor.on("close", () => {
    isOpen = false;
  });
  return {
    print(text) {
      output.write(`\r\u001b[K${text}\n`);
      if (isOpen) editor.prompt(true);
    },
    async *lines() {
      editor.prompt();
      for await (const line of editor) {
        yield parseTypedLine(line);
        if (isOpen) editor.prompt();
      }
    },
    close() {
      editor.close();
      output.write("\r\u001b[K");
    },
  };
}
