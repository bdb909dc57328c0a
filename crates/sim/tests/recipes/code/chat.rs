use landfall_client::db::{DbError, EntryState, OutboxEntry, WriteTx};
use landfall_core::{RowKey, Value};

/// Sends a message, after the one that waits before it. `id` is made with the empty box: "Send" twice sends once.
pub fn send(tx: &mut WriteTx<'_>, ids: [&Value; 2], text: [&str; 2], before: Option<u64>) -> Result<(), DbError> {
    let ([id, room], [author, body]) = (ids, text.map(Value::from));
    if tx.row("messages", &RowKey::single(id.clone()))?.is_some() {
        return Ok(());
    }
    tx.insert("messages", &[("id", id.clone()), ("room", room.clone()), ("author", author), ("body", body)])?;
    if let Some(rseq) = before {
        tx.follow(rseq)?;
    }
    tx.action("post", &[("room", room.clone()), ("message", id.clone())])
}

/// The newest message of a room that still waits on this device.
pub fn waiting(outbox: &[OutboxEntry], room: &Value) -> Option<u64> {
    let asks = |e: &OutboxEntry| e.transaction.action.as_ref().is_some_and(|a| a.args.get("room") == Some(room));
    let waits = |e: &&OutboxEntry| matches!(e.state, EntryState::Queued | EntryState::Sent) && asks(e);
    outbox.iter().filter(waits).map(|e| e.rseq).max()
}

/// How far a device has received a room, and its person has read: room, person, device, two numbers. Never goes back.
pub fn seen(tx: &mut WriteTx<'_>, row: &[Value; 5]) -> Result<(), DbError> {
    let sql = "insert into seen (room, person, device, received, read) values (?, ?, ?, ?, ?) \
               on conflict (room, person, device) do update \
               set received = max(received, excluded.received), read = max(read, excluded.read)";
    tx.execute(sql, row).map(|_| ())
}

/// The messages of room `?1` as everybody sees them: those that wait here come last. `received`, `read`: by all others.
pub const MESSAGES: &str = "
    with people as
      (select person, max(received) as received, max(read) as read from seen where room = ?1 group by person)
    select m.body, m.number, m.number <= (select min(received) from people where person <> m.author) as received,
           m.number <= (select min(read) from people where person <> m.author) as read
    from messages m where m.room = ?1 order by m.number is null, m.number, m.written, m.id";
