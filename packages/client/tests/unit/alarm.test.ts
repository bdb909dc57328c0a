import { expect, test } from "vitest";
import { Alarm } from "../../src/worker/alarm.js";

/** An alarm, and a promise of its next ring. */
function alarm() {
  let rings = 0;
  let heard: () => void = () => undefined;
  const made = new Alarm(() => {
    rings += 1;
    heard();
  });
  return { made, rings: () => rings, ring: () => new Promise<void>((resolve) => (heard = resolve)) };
}

test("what is due rings once, by message or by timer", async () => {
  const { made, rings, ring } = alarm();
  for (const ms of [0, -5, 1]) {
    const rung = ring();
    made.set(ms);
    expect(made.isSet).toBe(true);
    await rung;
    expect(made.isSet).toBe(false);
  }
  expect(rings()).toBe(3);
  made.close();
});

test("set anew it forgets what it was set to before, and cleared it is silent", async () => {
  const { made, rings, ring } = alarm();
  made.set(0);
  made.clear();
  made.set(0);
  const rung = ring();
  made.set(0);
  await rung;
  // Whatever was posted before has been delivered by then.
  const again = ring();
  made.set(0);
  await again;
  expect(rings()).toBe(2);
  made.close();
});
