use proptest::prelude::*;

use super::*;

const EPOCH: Epoch = Epoch([7; 16]);

fn place(key: Vec<landfall_core::Value>) -> Place {
    Place { bucket: BucketId(3), at: 40, expires_ms: 1_000, after: (!key.is_empty()).then_some(RowKey(key)) }
}

proptest! {
    #[test]
    fn an_address_says_what_was_put_into_it(bucket: u64, at: u64, expires_ms: u64, text in "[a\\x00]{0,20}") {
        let chunks = Chunks::new([1; 32], 0, Sizes::default());
        let after = Some(RowKey(vec![landfall_core::Value::Text(text)]));
        let place = Place { bucket: BucketId(bucket), at, expires_ms, after };
        prop_assert_eq!(chunks.open(&chunks.seal(&place, EPOCH), EPOCH), Ok(place));
    }

    #[test]
    fn whatever_is_changed_in_an_address_makes_it_worthless(at in 0usize..80, flip in 1u8..=255) {
        let chunks = Chunks::new([1; 32], 0, Sizes::default());
        let address = chunks.seal(&place(vec![landfall_core::Value::Int(5)]), EPOCH);
        let token = address.strip_prefix(PREFIX).unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        let forged = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        prop_assert_eq!(chunks.open(&forged, EPOCH), Err(AddressError::Forged));
    }

    #[test]
    fn garbage_is_no_address(text in ".{0,120}") {
        let chunks = Chunks::new([1; 32], 0, Sizes::default());
        prop_assert_eq!(chunks.open(&text, EPOCH), Err(AddressError::Forged));
        prop_assert_eq!(chunks.open(&format!("{PREFIX}{text}"), EPOCH), Err(AddressError::Forged));
    }
}

/// C1, C5.
#[test]
fn an_address_is_of_one_server_and_one_history_and_does_not_show_keys() {
    let chunks = Chunks::new([1; 32], 0, Sizes::default());
    let secret = "ada@example.org";
    let address = chunks.seal(&place(vec![landfall_core::Value::Text(secret.into())]), EPOCH);
    assert_eq!(Chunks::new([2; 32], 0, Sizes::default()).open(&address, EPOCH), Err(AddressError::Forged));
    assert_eq!(chunks.open(&address, Epoch([8; 16])), Err(AddressError::Forged));
    let bytes = URL_SAFE_NO_PAD.decode(address.strip_prefix(PREFIX).unwrap()).unwrap();
    assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    // Two devices that load together get the same address, and so share what caches hold.
    assert_eq!(address, chunks.seal(&place(vec![landfall_core::Value::Text(secret.into())]), EPOCH));
}

#[test]
fn the_cache_keeps_what_was_used_last_within_its_bound() {
    let body = |n: u8| Bytes::from(vec![n; 1000]);
    let chunk = |n: u8| Arc::new(StoredChunk { body: body(n), etag: String::new(), expires_ms: 0, next: None });
    let mut cache = Cache::default();
    for n in 0..10u8 {
        cache.keep(&n.to_string(), &chunk(n), 4_000);
        assert!(cache.take_note("0").is_some(), "used again and again");
        assert!(cache.bytes <= 4_000 && cache.chunks.len() == cache.by_use.len());
    }
    assert!(cache.take_note("9").is_some());
    assert!(cache.take_note("1").is_none());
    assert_eq!((cache.hits, cache.misses), (11, 1));
}
