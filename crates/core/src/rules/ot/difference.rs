//! What was done to a text, told from the text before and after.

use operational_transform::OperationSeq;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::MOST_STEPS;

/// Most work of one difference, over all parts that are compared. Those beyond it are replaced as a whole: comparing them would
/// hold up the server.
const MOST_WORK: usize = 16_000_000;
/// Most work for each letter, or line, of one part: `similar` gives up looking for the shortest way long before.
const MOST_EACH: usize = 512;

/// The operations that make `after` of `before`: by letters, or where there are too many of them, by lines and by letters
/// within these.
pub(super) fn difference(before: &str, after: &str) -> OperationSeq {
    let shared = |(one, other): &(char, char)| one == other;
    let begins: usize = before.chars().zip(after.chars()).take_while(shared).map(|(c, _)| c.len_utf8()).sum();
    let (head, before, after) = (&before[..begins], &before[begins..], &after[begins..]);
    let ends =
        before.chars().rev().zip(after.chars().rev()).take_while(shared).map(|(c, _)| c.len_utf8()).sum::<usize>();
    let (before, tail) = before.split_at(before.len() - ends);
    let after = &after[..after.len() - ends];
    let whole = |replace: &mut dyn FnMut(&mut OperationSeq)| {
        let mut steps = OperationSeq::default();
        steps.retain(letters(head));
        replace(&mut steps);
        steps.retain(letters(tail));
        steps
    };
    let mut left = MOST_WORK;
    let steps = whole(&mut |steps| by_letters(steps, before, after, &mut left, by_lines));
    if steps.ops().len() <= MOST_STEPS {
        return steps;
    }
    whole(&mut |steps| replaced(steps, before, after, &mut 0))
}

fn letters(text: &str) -> u64 {
    text.chars().count() as u64
}

/// What becomes of two parts that are too much for a way of comparing them.
type Else = fn(&mut OperationSeq, &str, &str, &mut usize);

fn replaced(steps: &mut OperationSeq, before: &str, after: &str, _left: &mut usize) {
    steps.insert(after);
    steps.delete(letters(before));
}

fn by_letters(steps: &mut OperationSeq, before: &str, after: &str, left: &mut usize, or_else: Else) {
    if before.is_empty() || after.is_empty() {
        return replaced(steps, before, after, left);
    }
    let [old, new] = [before, after].map(|text| text.chars().collect::<Vec<_>>());
    if !takes(left, old.len() + new.len()) {
        return or_else(steps, before, after, left);
    }
    for part in capture_diff_slices(Algorithm::Myers, &old, &new) {
        match part {
            DiffOp::Equal { len, .. } => steps.retain(len as u64),
            other => {
                steps.insert(&new[other.new_range()].iter().collect::<String>());
                steps.delete(other.old_range().len() as u64);
            }
        }
    }
}

fn by_lines(steps: &mut OperationSeq, before: &str, after: &str, left: &mut usize) {
    let [old, new] = [before, after].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    if !takes(left, old.len() + new.len()) {
        return replaced(steps, before, after, left);
    }
    for part in capture_diff_slices(Algorithm::Myers, &old, &new) {
        match part {
            DiffOp::Equal { .. } => steps.retain(old[part.old_range()].iter().map(|line| letters(line)).sum()),
            other => {
                by_letters(steps, &old[other.old_range()].concat(), &new[other.new_range()].concat(), left, replaced)
            }
        }
    }
}

/// Whether there is work left to compare so many parts, which is taken then.
fn takes(left: &mut usize, parts: usize) -> bool {
    let rest = left.checked_sub(parts.saturating_mul(parts.min(MOST_EACH)));
    *left = rest.unwrap_or(*left);
    rest.is_some()
}
