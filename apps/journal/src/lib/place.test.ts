import { describe, expect, it } from "vitest";
import { databaseOf } from "./place";

describe("the database of a person", () => {
  it("has a name that a database may have, another one for everybody", async () => {
    const people = ["ada", "Ada", "a.b-c", "a_b", "a%b", "Ada Lovelace", "ada@example.com", "auth0|64f", "зоя", "李"];
    people.push("_".repeat(27), "x".repeat(200), "y".repeat(200), `${"x".repeat(199)}y`);
    const names = await Promise.all(people.map(databaseOf));
    for (const name of names) expect(name).toMatch(/^[\w.-]{1,100}$/);
    expect(new Set(names).size).toBe(people.length);
    expect(names[0]).toBe("journal-ada");
  });
});
