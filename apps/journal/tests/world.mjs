// Notes and posts worth looking at.

import { quoted } from "./support.mjs";

const NOTES = [
  [
    "Old lighthouse",
    "We walked out to the old lighthouse at low tide. The keeper’s house is still standing, and somebody has painted the door blue.\n\nThe lamp turned until 1974; now there is a small automatic light on a pole, and gulls.",
    ["walks", "sea"],
    true,
    "glad",
  ],
  [
    "What to take",
    "Thermos, chart 1463, the small anchor, rope (the good one), two torches, bread. Nothing that must stay dry.",
    ["boat"],
    true,
    null,
  ],
  [
    "Harbour, before six",
    "Nobody about but the man with the dog. The ferry had its lights on and was going nowhere, humming to itself.",
    ["sea"],
    false,
    "calm",
  ],
  [
    "Letter to M., unsent",
    "You asked what I do all day. I look at the water and write down what it does, which is not much, and never the same.",
    ["letters"],
    false,
    "low",
  ],
  [
    "Bread",
    "500 g flour, 375 g water, 10 g salt, a spoon of the sour. Fold it four times, half an hour apart. Overnight in the cold.",
    ["kitchen"],
    false,
    null,
  ],
  [
    "On naming boats",
    "A boat’s name should survive being shouted. Two syllables, an open vowel; nothing that sounds like ‘stop’.",
    ["boat", "words"],
    false,
    "glad",
  ],
  [
    "Tide tables are a kind of poem",
    "High water 05:14, 17:38. Low water 11:20, 23:47. Springs on Thursday. It scans, if you let it.",
    ["sea", "words"],
    false,
    null,
  ],
  [
    "Things the sea returned",
    "One glove (left). A crate marked FRAGILE, whole. Four metres of line. A bottle without a letter.",
    ["walks"],
    false,
    null,
  ],
  [
    "Fog",
    "It came in at noon and took the pier first, then the cranes, then the church. By two there was only the garden.",
    ["sea"],
    false,
    "tired",
  ],
  ["Ask the electrician", "Why does the kitchen light know when the neighbour’s kettle is on?", [], false, null],
];

const POSTS = [
  [
    "bea",
    "Bea Lindqvist",
    "bea",
    "The ferry is back",
    "After eleven weeks of buses, the morning ferry left on time today, with nine people on deck who had no need to be anywhere.\n\nThe captain sounded the horn twice. I think the second one was for us.",
    "harbour",
    2,
  ],
  [
    "ivo",
    "Ivo",
    "ivo_k",
    "A short defence of paper charts",
    "They do not need to be charged, they can be drawn on, and they show you everything at once. What they cannot do is tell you where you are, which keeps one honest.",
    "navigation",
    26,
  ],
  ["bea", "Bea Lindqvist", "bea", "Swimming, October", "Eleven degrees. Shorter than I would like to admit.", null, 70],
];

/** For `elsewhere`: a person's notes, newest first. */
export function notes(owner) {
  return NOTES.map(([title, body, tags, pinned, mood], index) => {
    const id = `018f7c1e-0000-7000-8000-0000000000${String(index).padStart(2, "0")}`;
    const created = `to_timestamp('${new Date(Date.UTC(2026, 9, 30 - index * 3, 7, 12)).toISOString()}')`;
    const values = [
      quoted(id),
      quoted(owner),
      quoted(title),
      quoted(body),
      Number(pinned),
      mood ? quoted(mood) : "NULL",
      created,
      quoted(JSON.stringify(tags)),
    ];
    const note = `insert into notes (id, owner, title, body, pinned, mood, created, tags) values (${values.join(", ")})`;
    return note.replaceAll("\n", "' || char(10) || '");
  });
}

/** For `elsewhere`: what one author posted. */
export function posts(author) {
  const own = POSTS.filter(([by]) => by === author);
  const [, name, handle] = own[0];
  return [
    `insert into people (subject, name, handle) values (${[author, name, handle].map(quoted)})`,
    ...own.map(([, , , title, body, topic, hours]) => {
      const at = `to_timestamp('${new Date(Date.UTC(2026, 9, 31, 9) - hours * 3_600_000).toISOString()}')`;
      const values = [quoted(author), quoted(title), quoted(body), topic ? quoted(topic) : "NULL", "'live'", at];
      const post = `insert into posts (author, title, body, topic, status, published) values (${values.join(", ")})`;
      return post.replaceAll("\n", "' || char(10) || '");
    }),
  ];
}
