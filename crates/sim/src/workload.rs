//! What the simulated app does in one transaction.
//!
//! Every transaction inserts one row of its own into `ops`: so it can be recognised wherever it turns up, under whatever
//! replica and number. Keys come from a small universe, so that devices meet: concurrent inserts of one key, updates
//! against deletes, revivals, references to what somebody else deletes.

use landfall_client::db::{DbError, Resolution, WriteTx};
use landfall_core::{ColumnType, Decimal, Operation, RowKey, Transaction, Value};

use crate::cards::{Run, arrange};
use crate::clock::START_MS;
use crate::dice::Dice;
use crate::invariants::conflicts::MARK;
use crate::papers::Stroke;
use crate::shop::PRODUCTS;

/// Names a transaction of the workload, once in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpId(pub u64);

const OP_MARK: [u8; 8] = *b"op-row-\x40";

impl OpId {
    /// The key of its row in `ops`.
    pub fn value(self) -> Value {
        uuid(OP_MARK, self.0)
    }

    /// The transaction whose row this is.
    pub fn of_key(key: &RowKey) -> Option<Self> {
        let [value] = &key.0[..] else { return None };
        Self::of_value(value)
    }

    /// The transaction whose key this is.
    pub fn of_value(value: &Value) -> Option<Self> {
        // Live queries over plain SQL give what SQLite stores, which is text.
        let text = |text: &str| Value::from_json(&text.into(), ColumnType::Uuid).ok();
        let typed = if let Value::Text(stored) = value { text(stored)? } else { value.clone() };
        let Value::Uuid(bytes) = typed else { return None };
        let (mark, number) = bytes.split_first_chunk::<8>()?;
        let number: [u8; 8] = number.try_into().ok()?;
        (*mark == OP_MARK).then_some(Self(u64::from_be_bytes(number)))
    }
}

fn uuid(mark: [u8; 8], number: u64) -> Value {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mark);
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Value::Uuid(bytes)
}

/// The key of row `number` in one of the tables with a small universe of keys.
pub fn key(table: &str, number: u64) -> Value {
    let mut mark = *b"\0\0\0\0\0\0\x40\0";
    for (to, from) in mark.iter_mut().zip(table.bytes().take(6)) {
        *to = from;
    }
    uuid(mark, number)
}

/// Who writes a transaction.
pub struct Author<'a> {
    /// Randomness.
    pub dice: &'a mut Dice,
    /// The transaction.
    pub op: OpId,
    /// The person.
    pub person: &'a str,
    /// All people.
    pub people: usize,
    /// The device.
    pub device: &'a str,
    /// Whether the two tables of pairs may be written: the device holds both of them, or none.
    pub pairs: bool,
    /// The device's next count.
    pub tick: u64,
    /// The server's clock, as far as the device knows it.
    pub server_ms: u64,
    /// Numbers of what the device wrote lately.
    pub lately: &'a [u64],
    /// When it is not worth sending any more, by the device's clock.
    pub until: Option<u64>,
    /// What it was made to follow.
    pub wishes: Vec<Wish>,
    /// What it has put side by side.
    pub run: Option<Run>,
    /// What it has written to a paper.
    pub stroke: Option<Stroke>,
    /// Whether the app has the newer schema.
    pub newer: bool,
}

/// What a transaction follows because its author says so.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The earlier transaction.
    pub rseq: u64,
    /// Whether it shares that one's fate.
    pub requires: bool,
}

type Done = Result<(), DbError>;

impl<'a> Author<'a> {
    /// One who changes what is there, and leaves no row in `ops`.
    pub fn without_mark(dice: &'a mut Dice, person: &'a str, people: usize, device: &'a str) -> Self {
        let (op, lately) = (OpId(0), &[]);
        Self {
            dice,
            op,
            person,
            people,
            device,
            pairs: false,
            tick: 0,
            server_ms: 0,
            lately,
            until: None,
            wishes: Vec::new(),
            run: None,
            stroke: None,
            newer: false,
        }
    }

    /// Writes the transaction.
    ///
    /// # Errors
    /// What the engine refuses, or the app itself gives up.
    pub fn write(&mut self, tx: &mut WriteTx<'_>) -> Done {
        self.wish(tx)?;
        self.mark(tx)?;
        for _ in 0..self.dice.between(1, 3) {
            self.step(tx)?;
        }
        if self.dice.chance(120) {
            self.sell(tx)?;
        }
        if self.op.0.is_multiple_of(4) {
            self.rank(tx)?;
        }
        if self.op.0 % 4 == 1 {
            self.run = arrange(&mut Dice::new(self.op.0, "cards"), tx)?;
        }
        if self.op.0 % 4 == 2 {
            self.stroke = crate::papers::write(&mut Dice::new(self.op.0, "papers"), tx, self.op)?;
        }
        if self.op.0 % 4 == 3 {
            crate::notes::type_in(&mut Dice::new(self.op.0, "notes"), tx, self.op, 0)?;
        }
        self.scribble(&mut Dice::new(self.op.0, "slips"), tx)?;
        // Now and then the app changes its mind at the end.
        if self.dice.chance(15) { Err(DbError::Aborted("the app changed its mind".to_owned())) } else { Ok(()) }
    }

    /// Changes what a transaction did, or adds to it.
    ///
    /// # Errors
    /// As [`Author::write`].
    pub fn change(&mut self, tx: &mut WriteTx<'_>, of: &Transaction) -> Done {
        let known = |o: &&Operation| ["things", "parents", "children", "tags"].contains(&o.table());
        let known: Vec<&Operation> = of.operations.iter().filter(known).collect();
        let Some(operation) = self.dice.pick(&known).copied().filter(|_| self.dice.chance(800)) else {
            return self.family(tx);
        };
        let (table, row) = (operation.table(), operation.key().clone());
        if self.dice.chance(100) {
            return tx.delete(table, &row).map(|_| ());
        }
        match (table, &row.0[..]) {
            ("things", [id]) => self.change_thing(tx, id.clone()),
            ("tags", _) => tx.update("tags", &row, &[("n", Value::Int(-1))]).map(|_| ()),
            _ => {
                let name = self.words();
                tx.update(table, &row, &[("name", name)]).map(|_| ())
            }
        }
    }

    /// How urgent it is, and what it waits for, beside what its rows say.
    fn wish(&mut self, tx: &mut WriteTx<'_>) -> Done {
        if let Some(until) = self.until {
            tx.expire_at(until);
        }
        if self.dice.chance(300) {
            tx.set_priority(self.dice.below(101) as u8);
        }
        if !self.lately.is_empty() && self.dice.chance(150) {
            let rseq = self.lately[self.dice.index(self.lately.len())];
            let requires = !self.dice.chance(500);
            let wished = if requires { tx.require(rseq) } else { tx.follow(rseq) };
            match wished {
                Ok(()) => self.wishes.push(Wish { rseq, requires }),
                // One that was refused meanwhile cannot be required.
                Err(DbError::NoSuchEntry { .. }) if requires => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// A change that the person may take back, and that may take up the one before it. `round`: of several under one number.
    ///
    /// # Errors
    /// As [`Author::write`].
    pub fn sketch(&mut self, tx: &mut WriteTx<'_>, round: u64) -> Done {
        let id = key("things", 20 + self.dice.below(3));
        match self.dice.below(10) {
            0 => tx.delete("things", &RowKey(vec![id])).map(|_| ()),
            1 => self.family(tx),
            2 => self.change_thing(tx, id),
            3 | 4 => crate::notes::type_in(&mut self.dice.fork(), tx, self.op, round),
            _ => {
                let sql = "INSERT INTO things (id, owner, shown, amount) VALUES (?, ?, 1, 1)
                           ON CONFLICT (id) DO UPDATE SET amount = amount + 1";
                tx.execute(sql, &[id, Value::Text(self.person.to_owned())]).map(|_| ())
            }
        }
    }

    /// A row is again what it was after a change; whether it was another.
    ///
    /// # Errors
    /// As [`Author::write`].
    pub fn restore(&mut self, tx: &mut WriteTx<'_>, table: &str, change: &Value) -> Result<bool, DbError> {
        self.mark(tx)?;
        tx.restore(table, change)
    }

    /// A large row: few of them fill an outbox.
    ///
    /// # Errors
    /// As [`Author::write`].
    pub fn heavy(&mut self, tx: &mut WriteTx<'_>) -> Done {
        self.mark(tx)?;
        // One for each device: nobody else changes it.
        let own = u64::from(self.device.bytes().next_back().unwrap_or_default());
        let mut raw = vec![0; self.dice.between(1_000, 4_096) as usize];
        self.dice.fill(&mut raw);
        let cells = [("id", key("things", 100 + own)), ("owner", Value::Text(self.person.to_owned()))];
        tx.upsert("things", &[&cells[..], &[("raw", Value::Bytes(raw))]].concat())
    }

    /// Asks for an action.
    ///
    /// # Errors
    /// As [`Author::write`].
    pub fn ask(&mut self, tx: &mut WriteTx<'_>, action: &str, args: &[(&str, Value)]) -> Done {
        self.mark(tx)?;
        tx.action(action, args)
    }

    /// One move of a drag: it says again all that the one before it said.
    ///
    /// # Errors
    /// As [`Author::write`].
    pub fn drag(&mut self, tx: &mut WriteTx<'_>, row: u64) -> Done {
        let name = self.words();
        let sql = "INSERT INTO parents (id, name) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name";
        tx.execute(sql, &[key("parents", 30 + row), name]).map(|_| ())
    }

    fn mark(&mut self, tx: &mut WriteTx<'_>) -> Done {
        // What is in `ops` stays for ever: it is not what a person would take back.
        tx.leave_out_of_undo();
        let (id, device, n) = (self.op.value(), Value::Text(self.device.to_owned()), self.number());
        tx.execute("INSERT INTO ops (id, device, n) VALUES (?, ?, ?)", &[id, device, n]).map(|_| ())
    }

    fn number(&self) -> Value {
        Value::Int(self.op.0 as i64)
    }

    fn step(&mut self, tx: &mut WriteTx<'_>) -> Done {
        match self.dice.below(100) {
            0..=29 => self.thing(tx),
            30..=49 if self.pairs => self.pair(tx),
            50..=57 => self.tick(tx),
            58..=74 => self.family(tx),
            75..=84 => self.tag(tx),
            85..=89 => self.draft(tx),
            90..=94 => self.undone(tx),
            95 | 96 => self.due(tx),
            97..=99 if self.newer => self.extra(tx),
            _ => self.thing(tx),
        }
    }

    /// What only the newer app knows: a table, and columns of older ones.
    fn extra(&mut self, tx: &mut WriteTx<'_>) -> Done {
        let (parent, text) = (key("parents", self.dice.below(5)), self.words());
        match self.dice.below(5) {
            0 => tx.upsert("parents", &[("id", parent), ("weight", Value::Int(self.dice.below(9) as i64))]),
            1 => tx.update("things", &RowKey(vec![self.thing_key()]), &[("note", text)]).map(|_| ()),
            2 => {
                let rank = RowKey::single(key("ranks", self.dice.below(3)));
                tx.add("ranks", &rank, "laps", &Value::Int(self.dice.below(5) as i64)).map(|_| ())
            }
            3 => tx.delete("extras", &RowKey(vec![key("extras", self.dice.below(5))])).map(|_| ()),
            _ => tx.upsert("extras", &[("id", key("extras", self.dice.below(5))), ("parent", parent), ("text", text)]),
        }
    }

    /// A bill, due soon or in a while.
    fn due(&mut self, tx: &mut WriteTx<'_>) -> Done {
        let (id, in_ms) = (key("dues", self.dice.below(4)), self.dice.below(60_000));
        let due = Value::Timestamp((self.server_ms + in_ms) as i64 * 1_000);
        tx.upsert("dues", &[("id", id), ("due", due)])
    }

    fn thing_key(&mut self) -> Value {
        key("things", self.dice.below(14))
    }

    fn has(&self, tx: &mut WriteTx<'_>, table: &str, id: &Value) -> Result<bool, DbError> {
        let sql = format!("SELECT 1 FROM {table} WHERE id = ?");
        Ok(!tx.query(&sql, std::slice::from_ref(id))?.rows.is_empty())
    }

    fn thing(&mut self, tx: &mut WriteTx<'_>) -> Done {
        let id = self.thing_key();
        if !self.has(tx, "things", &id)? {
            return self.new_thing(tx, id);
        }
        match self.dice.below(10) {
            0 => tx.execute("DELETE FROM things WHERE id = ?", &[id]).map(|_| ()),
            1 => tx.delete("things", &RowKey(vec![id])).map(|_| ()),
            2 => tx.execute("UPDATE things SET shown = NOT shown WHERE id = ?", &[id]).map(|_| ()),
            3 => {
                // A row that nobody else could see afterwards would be refused: it is shown when it is given away.
                let other = Value::Text(format!("p{}", self.dice.below(self.people as u64)));
                tx.execute("UPDATE things SET owner = ?, shown = 1 WHERE id = ?", &[other, id]).map(|_| ())
            }
            4 => {
                let name = self.words();
                let sql = "INSERT INTO things (id, owner, shown, name) VALUES (?, ?, 0, ?)
                           ON CONFLICT (id) DO UPDATE SET name = excluded.name, amount = amount + 1";
                tx.execute(sql, &[id, Value::Text(self.person.to_owned()), name]).map(|_| ())
            }
            5 => {
                let sql = "REPLACE INTO things (id, owner, shown, kind, name) VALUES (?, ?, ?, 'blue', ?)";
                let shown = Value::Bool(self.dice.chance(500));
                let name = self.words();
                tx.execute(sql, &[id, Value::Text(self.person.to_owned()), shown, name]).map(|_| ())
            }
            6 => tx.execute("UPDATE things SET amount = amount + 3, name = name WHERE id = ?", &[id]).map(|_| ()),
            _ => self.change_thing(tx, id),
        }
    }

    fn new_thing(&mut self, tx: &mut WriteTx<'_>, id: Value) -> Done {
        let mut cells = vec![("id", id), ("owner", Value::Text(self.person.to_owned()))];
        let columns = ["shown", "kind", "name", "amount", "ratio", "price", "at", "day", "extra", "raw"];
        for column in columns.into_iter().chain(self.newer.then_some("note")) {
            if self.dice.chance(700) {
                cells.push((column, self.content(column)));
            }
        }
        tx.upsert("things", &cells)
    }

    fn change_thing(&mut self, tx: &mut WriteTx<'_>, id: Value) -> Done {
        let mut cells = Vec::new();
        let columns = ["kind", "name", "amount", "ratio", "price", "at", "day", "extra", "raw"];
        for column in columns.into_iter().chain(self.newer.then_some("note")) {
            if self.dice.chance(300) {
                cells.push((column, self.content(column)));
            }
        }
        tx.update("things", &RowKey(vec![id]), &cells).map(|_| ())
    }

    /// A value for a column of `things`.
    fn content(&mut self, column: &str) -> Value {
        let n = self.dice.number();
        let null = column != "shown" && self.dice.chance(150);
        if null {
            return Value::Null;
        }
        match column {
            "shown" => Value::Bool(n.is_multiple_of(2)),
            "kind" => Value::Text(["red", "green", "blue"][(n % 3) as usize].to_owned()),
            "name" | "note" => self.words(),
            "amount" => Value::Int((n % 20) as i64 - 5),
            "ratio" => Value::float(n as f64 / 1e17).unwrap_or_default(),
            "price" => Value::Decimal(Decimal::new((n % 1_000_000) as i64, 2)),
            "at" => Value::Timestamp(START_MS as i64 * 1000 + (n % 1_000_000_007) as i64),
            "day" => Value::Date((n % 40_000) as i32),
            "extra" => Value::json(&serde_json::json!({ "n": n % 1000, "a": [1, null, "ü"] })),
            _ => Value::Bytes(n.to_le_bytes()[..(n % 9) as usize].to_vec()),
        }
    }

    fn words(&mut self) -> Value {
        let words = ["", "fjord", "näher", "O'Neill", "snow ❄", "zwei Wörter", "%_%"];
        let word = words[self.dice.index(words.len())];
        Value::Text(format!("{word}{}", self.dice.below(50)))
    }

    fn pair(&mut self, tx: &mut WriteTx<'_>) -> Done {
        let number = self.dice.below(8);
        let (left, right) = (key("pairs", number), key("pairs", number));
        let n = self.number();
        let (has_left, has_right) = (self.has(tx, "lefts", &left)?, self.has(tx, "rights", &right)?);
        if has_left && has_right && self.dice.chance(250) {
            tx.execute("DELETE FROM lefts WHERE id = ?", &[left])?;
            return tx.delete("rights", &RowKey(vec![right])).map(|_| ());
        }
        if has_left && has_right {
            tx.execute("UPDATE lefts SET n = ? WHERE id = ?", &[n.clone(), left])?;
            return tx.update("rights", &RowKey(vec![right]), &[("n", n)]).map(|_| ());
        }
        if !has_left && !has_right {
            tx.insert("lefts", &[("id", left), ("n", n.clone())])?;
            return tx.execute("INSERT INTO rights (id, n) VALUES (?, ?)", &[right, n]).map(|_| ());
        }
        Ok(())
    }

    fn tick(&mut self, tx: &mut WriteTx<'_>) -> Done {
        let device = Value::Text(self.device.to_owned());
        tx.upsert("ticks", &[("device", device), ("n", Value::Int(self.tick as i64))])
    }

    /// Sells something: the server's handler says whether there is any left, and which number the sale has.
    fn sell(&mut self, tx: &mut WriteTx<'_>) -> Done {
        let (sale, product) = (self.op.value(), key("stocks", self.dice.below(PRODUCTS)));
        tx.insert("sales", &[("id", sale.clone()), ("product", product.clone())])?;
        tx.action("sell", &[("sale", sale), ("product", product)])
    }

    /// A row whose columns have a rule each.
    fn rank(&mut self, tx: &mut WriteTx<'_>) -> Done {
        let mut dice = Dice::new(self.op.0, "rank");
        let id = key("ranks", dice.below(3));
        if dice.chance(80) {
            return tx.delete("ranks", &RowKey(vec![id])).map(|_| ());
        }
        let is_new = !self.has(tx, "ranks", &id)?;
        let mut cells = vec![("id", id)];
        for column in ["most", "least", "founder", "kept", "given"] {
            // Who has seen a founder seldom writes another one: that is refused.
            if !dice.chance(if column == "founder" && !is_new { 40 } else { 500 }) {
                continue;
            }
            let n = dice.below(40) as i64 - 20;
            let value = match column {
                _ if dice.chance(100) => Value::Null,
                "least" => Value::Decimal(Decimal::new(n, 2)),
                "founder" => Value::Text(format!("{} {n}", self.device)),
                _ => Value::Int(n),
            };
            cells.push((column, value));
        }
        let row = cells[0].1.clone();
        tx.upsert("ranks", &cells)?;
        for (column, n) in [("tally", dice.below(9) as i64 - 4), ("purse", dice.below(60) as i64 - 25)] {
            // By SQL and by the typed call, which are one.
            let by = if column == "purse" { Value::Decimal(Decimal::new(n, 2)) } else { Value::Int(n) };
            match dice.below(4) {
                0 | 1 => tx.add("ranks", &RowKey::single(row.clone()), column, &by)?,
                2 if column == "tally" => {
                    tx.execute("UPDATE ranks SET tally = tally + ? WHERE id = ?", &[by, row.clone()])? > 0
                }
                _ => continue,
            };
        }
        if self.newer {
            tx.add("ranks", &RowKey::single(row.clone()), "laps", &Value::Int(1))?;
        }
        for _ in 0..dice.below(5) {
            part(&mut dice, tx, &RowKey::single(row.clone()))?;
        }
        self.compose(&mut dice, tx, &RowKey::single(row))?;
        Ok(())
    }

    /// Chooses and writes what others choose and write, and settles what came of that.
    fn compose(&self, dice: &mut Dice, tx: &mut WriteTx<'_>, row: &RowKey) -> Done {
        if dice.chance(300) {
            let choice = Value::Text(format!("{} {}", self.device, dice.below(3)));
            tx.update("ranks", row, &[("choice", choice)])?;
        }
        if dice.chance(500) {
            let score = if dice.chance(100) { Value::Null } else { Value::Int(dice.below(50) as i64 - 25) };
            tx.update("ranks", row, &[("score", score)])?;
        }
        if dice.chance(400) {
            let essay =
                tx.row("ranks", row)?.and_then(|row| row.get("essay").and_then(Value::as_text).map(str::to_owned));
            let mut lines: Vec<String> = essay.unwrap_or_default().lines().map(str::to_owned).collect();
            let mark = format!("{MARK}{}.", self.op.0);
            match (dice.below(5), lines.is_empty()) {
                (0, _) | (_, true) => lines.insert(dice.below(lines.len() as u64 + 1) as usize, mark),
                (1, _) => drop(std::mem::replace(&mut lines, vec![mark])),
                (n, _) => {
                    let at = dice.below(lines.len() as u64) as usize;
                    lines[at] = if n == 2 { format!("{} {mark}", lines[at]) } else { format!("{mark} {}", lines[at]) };
                }
            }
            if lines.len() > 5 {
                lines.remove(dice.below(lines.len() as u64 - 1) as usize);
            }
            let mut essay = lines.join("\n");
            while essay.len() > 200 {
                // What is cut off is never the mark alone.
                essay = format!("{MARK}{}.\n{}", self.op.0, &essay[essay.len() - 100..]);
            }
            tx.update("ranks", row, &[("essay", Value::Text(essay))])?;
        }
        if !dice.chance(400) {
            return Ok(());
        }
        let found =
            tx.query("SELECT conflict_id, id, conflict_column FROM ranks_conflicts ORDER BY 1 LIMIT 1", &[])?.rows;
        let Some([conflict, id, column]) = found.into_iter().next().and_then(|row| <[Value; 3]>::try_from(row).ok())
        else {
            return Ok(());
        };
        let uuid = |value: &Value| Value::from_json(&value.to_json(), ColumnType::Uuid).unwrap_or_default();
        let is_there = tx.row("ranks", &RowKey::single(uuid(&id)))?.is_some();
        let with = match dice.below(3) {
            0 if is_there => Resolution::Take,
            1 if column.is_null() => Resolution::Take,
            1 if is_there => {
                let column = column.as_text().unwrap_or_default();
                let mark = Value::Text(format!("{MARK}{}.", self.op.0));
                Resolution::Write(column.to_owned(), if column == "score" { Value::Int(0) } else { mark })
            }
            _ => Resolution::Keep,
        };
        tx.resolve("ranks", &uuid(&conflict), &with).map(|_| ())
    }

    /// Parents, and what refers to them.
    fn family(&mut self, tx: &mut WriteTx<'_>) -> Done {
        let (parent, one) = (key("parents", self.dice.below(5)), self.dice.below(9));
        let name = self.words();
        match self.dice.below(10) {
            0 | 1 => tx.execute("DELETE FROM parents WHERE id = ?", &[parent]).map(|_| ()),
            2 => tx.upsert("parents", &[("id", parent), ("code", Value::Text(format!("c{}", one % 4)))]),
            3 => tx.upsert("parents", &[("id", parent), ("label", Value::Text(format!("l{}", one % 3)))]),
            4 if self.newer => {
                tx.upsert("parents", &[("id", parent), ("name", name), ("weight", Value::Int(one as i64))])
            }
            4 => tx.upsert("parents", &[("id", parent), ("name", name)]),
            5 => tx.upsert("children", &[("id", key("children", one)), ("parent", parent), ("name", name)]),
            6 => tx.upsert("children", &[("id", key("children", one)), ("friend", parent), ("name", name)]),
            7 => tx.upsert("remarks", &[("id", key("remarks", one)), ("parent", parent), ("text", name)]),
            8 => tx.execute("DELETE FROM holds WHERE id = ?", &[key("holds", one)]).map(|_| ()),
            _ => tx.upsert("holds", &[("id", key("holds", one)), ("parent", parent)]),
        }
    }

    fn tag(&mut self, tx: &mut WriteTx<'_>) -> Done {
        // Few, so that they meet; not all of them are things.
        let thing = key("things", self.dice.below(5));
        let word = Value::Text(["new", "old", "blé"][self.dice.index(3)].to_owned());
        if self.dice.chance(300) {
            return tx.execute("DELETE FROM tags WHERE thing = ? AND word = ?", &[thing, word]).map(|_| ());
        }
        let sql = "INSERT INTO tags (thing, word, n) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + 1";
        tx.execute(sql, &[thing, word, self.number()]).map(|_| ())
    }

    /// Makes, changes and throws away what others make, change and throw away.
    fn scribble(&self, dice: &mut Dice, tx: &mut WriteTx<'_>) -> Done {
        let (table, number) = if dice.chance(500) { ("slips", dice.below(3)) } else { ("scraps", dice.below(4)) };
        let id = if table == "slips" { Value::Text(format!("s{number}")) } else { key("scraps", number) };
        let row = RowKey::single(id.clone());
        match (tx.row(table, &row)?.is_some(), dice.below(10)) {
            (_, 0..=3) => Ok(()),
            (false, _) => tx.insert(table, &[("id", id), ("n", Value::Int(1))]),
            (true, 4 | 5) => tx.delete(table, &row).map(|_| ()),
            (true, 6) if table == "scraps" => {
                tx.update(table, &row, &[("word", Value::Text(self.device.to_owned()))]).map(|_| ())
            }
            _ => tx.add(table, &row, "n", &Value::Int(1)).map(|_| ()),
        }
    }

    fn draft(&mut self, tx: &mut WriteTx<'_>) -> Done {
        let text = self.words();
        tx.upsert("drafts", &[("id", key("drafts", self.dice.below(6))), ("text", text)])
    }

    /// A part that fails and is undone; the rest of the transaction goes on.
    fn undone(&mut self, tx: &mut WriteTx<'_>) -> Done {
        let fails = self.dice.chance(500);
        let part = tx.savepoint(|tx| {
            self.thing(tx)?;
            self.tag(tx)?;
            if fails { Err(DbError::Aborted("a part of it failed".to_owned())) } else { Ok(()) }
        });
        match part {
            Err(DbError::Aborted(_)) => {}
            other => other?,
        }
        // A statement that fails half way leaves nothing behind.
        let twice = "INSERT INTO things (id, owner, name) VALUES (?1, ?2, 'a'), (?1, ?2, 'b')";
        let id = key("things", 1_000 + self.op.0);
        let _ = tx.execute(twice, &[id, Value::Text(self.person.to_owned())]);
        Ok(())
    }
}

/// A change of parts of a set or a map: by typed calls and by SQL, which are one.
fn part(dice: &mut Dice, tx: &mut WriteTx<'_>, row: &RowKey) -> Done {
    use serde_json::json;
    let (n, other) = (dice.below(4), dice.below(4));
    let path = *dice.pick(&["/size", "/size", "/size", "/look/colour", "/look/form", "/look"]).unwrap_or(&"/size");
    let change =
        |tx: &mut WriteTx<'_>, column: &str, change| tx.change("ranks", row, column, &Value::json(&change)).map(|_| ());
    match dice.below(11) {
        0 | 1 => change(tx, "words", json!({ "add": [n] })),
        2 => change(tx, "words", json!({ "add": [format!("w{n}")], "remove": [other] })),
        3 => change(tx, "words", json!({ "remove": [n, format!("w{n}")] })),
        4 => tx.execute("UPDATE ranks SET words = '[ 2, true ]' WHERE id = ?", &row.0).map(|_| ()),
        5..=8 => change(tx, "traits", json!({ "set": { path: n } })),
        9 => change(tx, "traits", json!({ "cut": [path] })),
        _ => {
            let sql = "UPDATE ranks SET traits = json_set(traits, '$.look.form', ?)
                       WHERE id = ? AND json_type(traits, '$.look') = 'object'";
            tx.execute(sql, &[Value::Int(n as i64), row.0[0].clone()]).map(|_| ())
        }
    }
}
