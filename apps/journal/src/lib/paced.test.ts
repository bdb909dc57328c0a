import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Paced } from "./paced";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Work that takes so long, and counts. */
function work(lastsMs: number) {
  const done = { times: 0, atOnce: 0 };
  const one = async () => {
    done.times += 1;
    done.atOnce += 1;
    expect(done.atOnce).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, lastsMs));
    done.atOnce -= 1;
  };
  return { done, one };
}

test("what is asked for without end is done at once, and then at its pace", async () => {
  const { done, one } = work(500);
  const paced = new Paced(1000, one);
  paced.ask();
  expect(done.times).toBe(1);
  for (let at = 0; at < 6000; at += 10) {
    paced.ask();
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(done.times).toBe(5);
});

test("the last one that was asked for is done, and nothing after it", async () => {
  const { done, one } = work(0);
  const paced = new Paced(1000, one);
  paced.ask();
  paced.ask();
  paced.ask();
  await vi.advanceTimersByTimeAsync(900);
  expect(done.times).toBe(1);
  await vi.advanceTimersByTimeAsync(5000);
  expect(done.times).toBe(2);
  // It has rested by now.
  paced.ask();
  expect(done.times).toBe(3);
});

test("what fails is done again when it is asked for", async () => {
  let times = 0;
  const paced = new Paced(1000, () => Promise.reject(new Error(`${times++}`)));
  paced.ask();
  paced.ask();
  await vi.advanceTimersByTimeAsync(2000);
  expect(times).toBe(2);
});

test("after its end nothing is done, whatever was asked for", async () => {
  for (const endsAtMs of [100, 700]) {
    const { done, one } = work(500);
    const paced = new Paced(1000, one);
    paced.ask();
    paced.ask();
    await vi.advanceTimersByTimeAsync(endsAtMs);
    paced.end();
    paced.ask();
    await vi.advanceTimersByTimeAsync(5000);
    expect(done.times).toBe(1);
  }
});
