/** Frames behind one another; a single one as it is. */
export function concat(frames: readonly Uint8Array[]): Uint8Array {
  const [only] = frames;
  if (only !== undefined && frames.length === 1) return only;
  const whole = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
  let at = 0;
  for (const frame of frames) {
    whole.set(frame, at);
    at += frame.length;
  }
  return whole;
}
