//! Documents in a browser: what [`landfall_doc`] does, bytes in and bytes out, as a WebAssembly module of its own. It is loaded
//! when the first document is read without an editor, so that nobody else pays for it.
//!
//! Several updates are given one after the other in one array, each behind its length (four bytes, the lowest first).

use landfall_doc::DocError;

/// The updates in an array.
///
/// # Errors
/// A sentence, when a length says more than there is.
pub fn updates(list: &[u8]) -> Result<Vec<&[u8]>, String> {
    let (mut all, mut rest) = (Vec::new(), list);
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((update, next)) = behind.split_at_checked(length) else {
            return Err(cut());
        };
        all.push(update);
        rest = next;
    }
    if rest.is_empty() { Ok(all) } else { Err(cut()) }
}

fn cut() -> String {
    "the list of updates ends in the middle of one".to_owned()
}

fn run<T>(list: &[u8], work: impl FnOnce(&[&[u8]]) -> Result<T, DocError>) -> Result<T, String> {
    work(&updates(list)?).map_err(|problem| problem.to_string())
}

/// [`landfall_doc::compact`] for JavaScript.
///
/// # Errors
/// A sentence, when one of them is no update.
pub fn compact(list: &[u8]) -> Result<Vec<u8>, String> {
    run(list, |all| landfall_doc::compact(all))
}

/// [`landfall_doc::diff`] for JavaScript.
///
/// # Errors
/// A sentence, when one of them is no update, or the state vector is none.
pub fn diff(list: &[u8], state_vector: &[u8]) -> Result<Vec<u8>, String> {
    run(list, |all| landfall_doc::diff(all, state_vector))
}

/// [`landfall_doc::state_vector`] for JavaScript.
///
/// # Errors
/// A sentence, when one of them is no update.
pub fn state_vector(list: &[u8]) -> Result<Vec<u8>, String> {
    run(list, |all| landfall_doc::state_vector(all))
}

/// [`landfall_doc::text`] for JavaScript.
///
/// # Errors
/// A sentence, when one of them is no update.
pub fn text(list: &[u8], name: &str) -> Result<String, String> {
    run(list, |all| landfall_doc::text(all, name))
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod surface {
    use wasm_bindgen::prelude::*;

    /// [`super::compact`].
    #[wasm_bindgen]
    pub fn compact(list: &[u8]) -> Result<Vec<u8>, String> {
        super::compact(list)
    }

    /// [`super::diff`].
    #[wasm_bindgen]
    pub fn diff(list: &[u8], state_vector: &[u8]) -> Result<Vec<u8>, String> {
        super::diff(list, state_vector)
    }

    /// [`super::state_vector`].
    #[wasm_bindgen(js_name = stateVector)]
    pub fn state_vector(list: &[u8]) -> Result<Vec<u8>, String> {
        super::state_vector(list)
    }

    /// [`super::text`].
    #[wasm_bindgen]
    pub fn text(list: &[u8], name: &str) -> Result<String, String> {
        super::text(list, name)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_list_is_read_as_it_was_written_and_nothing_else_is() {
        let list = [2, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(super::updates(&list).unwrap(), [&[0_u8, 0][..], &[]]);
        assert!(super::updates(&list[..5]).is_err() && super::updates(&list[..7]).is_err());
        assert_eq!(super::text(&list[..6], "body").unwrap(), "");
        assert!(super::compact(&list).is_err(), "an empty update is none");
    }
}
