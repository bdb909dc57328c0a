//! What transformation, differences and the window promise to the rule.

use proptest::prelude::*;

use super::*;
use crate::id::ReplicaId;
use crate::merge::{Author, Version};
use crate::stamp::Stamp;

/// Letters of one to four bytes, some of which join the one before.
fn text() -> impl Strategy<Value = String> {
    let letter =
        prop::sample::select(vec!['a', 'b', 'ä', '❄', '🌊', '\u{301}', '\n', '\r', '"', '\\', '\0', '\u{200d}']);
    prop::collection::vec(letter, 0..24).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// TP1: whoever came first, both come to one text; and of what both inserted at one place the earlier one stands first.
    #[test]
    fn two_operations_on_one_text_come_to_one_text(base in text(), one in text(), other in text()) {
        let (earlier, later) = (difference(&base, &one), difference(&base, &other));
        let (later_over, earlier_over) = transformed(&later, &earlier).unwrap();
        let (with_later, with_earlier) = (later_over.apply(&one).unwrap(), earlier_over.apply(&other).unwrap());
        prop_assert_eq!(with_later, with_earlier);
    }

    #[test]
    fn of_two_who_insert_at_one_place_the_earlier_one_stands_first(
        head in text(), tail in text(), two in ["[x-z]{1,4}", "[u-w]{1,4}"],
    ) {
        let insert = |text: &str| {
            let mut steps = OperationSeq::default();
            steps.retain(head.chars().count() as u64);
            steps.insert(text);
            steps.retain(tail.chars().count() as u64);
            steps
        };
        let [earlier, later] = &two;
        let (steps, _) = transformed(&insert(later), &insert(earlier)).unwrap();
        prop_assert_eq!(steps.apply(&format!("{head}{earlier}{tail}")).unwrap(), format!("{head}{earlier}{later}{tail}"));
    }

    #[test]
    fn a_difference_makes_one_text_of_the_other(before in text(), after in text()) {
        let steps = difference(&before, &after);
        prop_assert_eq!(steps.apply(&before).unwrap(), after.clone());
        let change = Edit::write(&before, &steps);
        let read = Edit::read(&change).unwrap();
        prop_assert_eq!((read.was, read.steps), (before, steps));
    }
}

#[test]
fn a_difference_takes_bounded_work_and_has_bounded_steps() {
    let lines =
        |seed: usize, count: usize| (0..count).map(|n| format!("{} {n}\n", (n * seed) % 7_919)).collect::<String>();
    let letters =
        |seed: usize| (0..300_000).map(|n| char::from(b'a' + ((n * n * seed) % 23) as u8)).collect::<String>();
    for (before, after) in [
        (lines(3, 100_000), lines(5, 100_000)),
        (lines(3, 1_500), lines(5, 1_500)),
        (letters(3), letters(5)),
        ("a\n".repeat(500_000), "b\n".repeat(500_001)),
        (letters(3), String::new()),
    ] {
        let steps = difference(&before, &after);
        assert!(steps.ops().len() <= MOST_STEPS);
        assert!(steps.apply(&before).is_ok_and(|is| is == after));
    }
    // What is far apart in a long text are two small edits still.
    let long = lines(3, 10_000);
    let steps = difference(&format!("x{long}"), &format!("{long}y\n"));
    assert!(steps.ops().len() <= 4);
}

#[test]
fn a_window_stays_small_whatever_is_done() {
    let author = |seq: u64, replica: u8| Author {
        stamp: Stamp { wall_ms: seq, counter: 0, replica: ReplicaId([replica; 16]) },
        seq,
        now_ms: seq,
        is_fact: false,
    };
    for letters in [1, 500, 200_000] {
        let (mut now, mut window) = (String::new(), Window::from(Version::default()));
        for seq in 1..=600 {
            let author = author(seq, seq as u8);
            // Everybody writes on the first text.
            let hand = Hand { author: &author, base: 0 };
            let change = Edit::write("", &difference("", &"x".repeat(letters)));
            let held = CellState::Ot(window.clone());
            let value = Value::Text(std::mem::take(&mut now));
            let at = Version { seq: seq - 1, stamp: author.stamp };
            let held = Held { value: &value, at, state: Some(&held) };
            let Changed { value: Value::Text(text), state: Some(CellState::Ot(after)), .. } =
                Ot.changed(&held, &change, &hand).unwrap()
            else {
                panic!("a text and what is kept of it")
            };
            (now, window) = (if letters > 1_000 { String::new() } else { text }, after);
            let size = minicbor::to_vec(&window).unwrap().len();
            assert!(size <= 17 << 10, "{size} bytes after {seq}");
            assert_eq!(minicbor::decode::<Window>(&minicbor::to_vec(&window).unwrap()).unwrap(), window);
        }
    }
}
