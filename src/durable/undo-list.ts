/** What has to be taken back in memory when the transaction that changed it fails. */
export interface UndoList {
  add(undo: () => void): void;
}

export interface OpenUndoList extends UndoList {
  /** Takes everything back, the latest change first. */
  run(): void;
}

export function createUndoList(): OpenUndoList {
  const undos: (() => void)[] = [];
  return {
    add: (undo) => void undos.push(undo),
    run() {
      for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) undo();
    },
  };
}
