use futures_util::FutureExt as _;
use landfall_core::{Epoch, RowKey, Value};
use landfall_protocol::codec::encode_binary;
use landfall_protocol::{Change, ChangeList, Frame, decode_server};
use proptest::prelude::*;

use super::*;

fn run(seq: u64, note: &str) -> Run {
    let key = RowKey(vec![Value::Int(seq as i64)]);
    let change = Change::Put { seq, key, whole: true, cells: vec![(1, Value::Text(note.into()))] };
    (seq, ChangeList(vec![change]).to_run().into())
}

/// One group for each entry: the sequences of the group, each with the buckets that it changes.
fn publish(hub: &Hub, group: &[Vec<u64>], note: &str) {
    let from = hub.head().seq;
    let mut runs: BTreeMap<BucketId, Vec<Run>> = BTreeMap::new();
    for (seq, buckets) in (from + 1..).zip(group) {
        for bucket in buckets {
            runs.entry(BucketId(*bucket)).or_default().push(run(seq, note));
        }
    }
    let seq = from + group.len() as u64;
    let head = Head { epoch: Epoch([1; 16]), seq, chain: seq * 1_000 };
    let stamp = Stamp { wall_ms: seq, ..Stamp::default() };
    let bucket_runs = runs.into_iter().collect();
    hub.publish(&GroupCommit { from, head, stamp, bucket_runs, ..GroupCommit::default() });
}

fn hub(ring_bytes: usize) -> Hub {
    Hub::new(Head { epoch: Epoch([1; 16]), ..Head::default() }, ring_bytes)
}

fn audience(hub: &Hub, buckets: &[u64]) -> Audience {
    hub.audience(buckets.iter().copied().map(BucketId).collect())
}

#[test]
fn the_shared_frame_is_the_message_byte_for_byte_and_is_made_once() {
    let hub = hub(RING_BYTES);
    publish(&hub, &[vec![1], vec![1, 2], vec![3]], "short");
    publish(&hub, &[vec![2]], &"long enough to be compressed ".repeat(50));
    let audience = audience(&hub, &[1, 2]);
    let Follows::Changes(span) = hub.follows(&audience, 1, u64::MAX, usize::MAX) else { panic!("changes follow") };
    let message = span.message();
    let frame = hub.frame(&span, Form::Binary);
    assert_eq!(frame.bytes().as_ref(), encode_binary(&message));
    let json = hub.frame(&span, Form::Json);
    let text = String::from_utf8(json.bytes().to_vec()).unwrap();
    assert_eq!(decode_server(&Frame::Text(text)).unwrap(), message);
    let again = hub.frame(&span, Form::Binary);
    assert_eq!(again.bytes().as_ptr(), frame.bytes().as_ptr(), "the very same bytes");
    let ServerMessage::Live { to: 4, chain: 4_000, buckets, .. } = message else { panic!("{message:?}") };
    let counts: Vec<_> = buckets.iter().map(|b| (b.bucket.0, b.changes.0.len())).collect();
    assert_eq!(counts, [(1, 1), (2, 2)], "only after position 1, only of the audience");
}

#[test]
fn equal_sets_of_buckets_are_one_audience() {
    let hub = hub(RING_BYTES);
    let (one, same, other) = (audience(&hub, &[1, 2]), audience(&hub, &[1, 2]), audience(&hub, &[1]));
    assert_eq!(one.id(), same.id());
    assert_ne!(one.id(), other.id());
}

#[test]
fn a_new_history_hands_out_nothing_of_the_old_one() {
    let hub = hub(RING_BYTES);
    publish(&hub, &[vec![1]], "old");
    hub.start_over(Head { epoch: Epoch([2; 16]), seq: 1, chain: 9 });
    let audience = audience(&hub, &[1]);
    assert!(matches!(hub.follows(&audience, 1, u64::MAX, 100), Follows::Nothing));
    assert!(matches!(hub.follows(&audience, 0, u64::MAX, 100), Follows::Behind(1)));
}

#[test]
fn a_commit_wakes_those_that_it_concerns() {
    let told = |wake: &Arc<Notify>| wake.notified().now_or_never().is_some();
    let hub = hub(RING_BYTES);
    let (first, second, any) = (audience(&hub, &[1, 2]), audience(&hub, &[2, 3]), Arc::<Notify>::default());
    let wakes: [Arc<Notify>; 2] = Default::default();
    first.join(1, Arc::clone(&wakes[0]));
    second.join(2, Arc::clone(&wakes[1]));
    publish(&hub, &[vec![1]], "x");
    assert_eq!((told(&wakes[0]), told(&wakes[1])), (true, false));
    publish(&hub, &[vec![2, 4]], "x");
    assert_eq!((told(&wakes[0]), told(&wakes[1])), (true, true));
    first.leave(1);
    drop(first);
    hub.tell_next(Arc::clone(&any));
    publish(&hub, &[vec![1, 2]], "x");
    assert_eq!((told(&wakes[0]), told(&wakes[1]), told(&any)), (false, true, true));
    publish(&hub, &[vec![1]], "x");
    assert!(!told(&any), "once");
}

proptest! {
    /// However the stream is cut into messages, and wherever the ring ends, a reader gets each change of its buckets
    /// exactly once, in order, or is told to read the store.
    #[test]
    fn following_gives_each_change_once(
        groups in prop::collection::vec(prop::collection::vec(prop::collection::vec(0u64..4, 0..3), 1..4), 1..12),
        mine in prop::collection::btree_set(0u64..4, 1..4),
        max_bytes in 1usize..200,
        ring_bytes in prop_oneof![Just(RING_BYTES), 300usize..2_000],
        start in 0u64..40,
        looked in 0usize..20,
    ) {
        let hub = hub(ring_bytes);
        let (mut expected, mut heads) = (Vec::new(), vec![0]);
        let mut seq = 0;
        for group in &groups {
            let sorted = |b: &Vec<u64>| b.iter().copied().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            let group: Vec<Vec<u64>> = group.iter().map(sorted).collect();
            publish(&hub, &group, "x");
            prop_assert!(hub.ring_bytes() <= ring_bytes);
            for buckets in &group {
                seq += 1;
                expected.extend(buckets.iter().filter(|b| mine.contains(b)).map(|b| (seq, *b)));
            }
            heads.push(seq);
        }
        let audience = audience(&hub, &mine.iter().copied().collect::<Vec<_>>());
        let mut at = start.min(seq);
        expected.retain(|(seq, _)| *seq > at);
        let mut seen = Vec::new();
        // As of a head that was seen earlier, then as of the last.
        for up_to in [heads[looked % heads.len()], seq] {
        loop {
            match hub.follows(&audience, at, up_to, max_bytes) {
                Follows::Nothing => break,
                Follows::Behind(_) => { prop_assert!(ring_bytes < RING_BYTES); return Ok(()) }
                Follows::Mark(span) => {
                    prop_assert!(span.to() > at && span.to() <= up_to && span.bytes() == 0);
                    prop_assert!(!expected.iter().any(|(seq, _)| *seq > at && *seq <= span.to()));
                    at = span.to();
                }
                Follows::Changes(span) => {
                    prop_assert!(span.to() > at && span.to() <= up_to);
                    at = span.to();
                    let ServerMessage::Live { buckets, chain, .. } = span.message() else { unreachable!() };
                    prop_assert_eq!(chain, at * 1_000);
                    let mut part: Vec<_> = buckets.iter().flat_map(|b| b.changes.0.iter().map(|c| (c.seq(), b.bucket.0))).collect();
                    part.sort_unstable();
                    seen.extend(part);
                }
            }
        }
        }
        prop_assert_eq!(at, seq);
        prop_assert_eq!(seen, expected);
    }
}
