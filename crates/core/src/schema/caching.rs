//! How answers are kept that an app fetches elsewhere and that are not synced: a product page, a bank balance.

/// What the app declares of its cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caching {
    /// Most bytes of all entries together.
    pub max_bytes: u64,
    /// Policies by the beginning of the key.
    pub policies: Vec<NamedPolicy>,
}

/// How the entries of one kind are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPolicy {
    /// It is for the key of this name, and for those that begin with it and a colon.
    pub name: String,
    /// How they are kept.
    pub policy: Policy,
}

/// How an entry is kept, and when the network is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// When the network is asked.
    pub strategy: Strategy,
    /// So old an entry may be before it is stale, milliseconds; `None`: it never is.
    pub max_age_ms: Option<u64>,
    /// After so long the network is no longer waited for if the cache has something, milliseconds.
    pub timeout_ms: Option<u64>,
    /// 0 to 100: what matters least goes first when the cache is full.
    pub priority: u8,
}

impl Default for Policy {
    fn default() -> Self {
        Self { strategy: Strategy::NetworkFirst, max_age_ms: Some(300_000), timeout_ms: None, priority: 50 }
    }
}

impl Default for Caching {
    fn default() -> Self {
        Self { max_bytes: 16 << 20, policies: Vec::new() }
    }
}

/// When the network is asked, and when the cache answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The network answers; the cache does when that fails, or takes too long.
    NetworkFirst,
    /// The cache answers while its entry is fresh; then the network, and a stale entry when that fails.
    CacheFirst,
    /// The cache answers with what it has, and a stale entry is fetched anew meanwhile.
    StaleWhileRevalidate,
    /// The network answers, or nobody does. The answer is stored.
    NetworkOnly,
    /// The cache answers, or nobody does.
    CacheOnly,
}

impl Strategy {
    /// All of them, as `landfall.toml` names them.
    pub const ALL: [(&'static str, Self); 5] = [
        ("network_first", Self::NetworkFirst),
        ("cache_first", Self::CacheFirst),
        ("stale_while_revalidate", Self::StaleWhileRevalidate),
        ("network_only", Self::NetworkOnly),
        ("cache_only", Self::CacheOnly),
    ];
}

impl Caching {
    /// The smallest limit that can be declared.
    pub const LEAST_BYTES: u64 = 64 << 10;
    /// The largest limit that can be declared.
    pub const MOST_BYTES: u64 = 1 << 30;
    /// The most policies.
    pub const MAX_POLICIES: usize = 100;

    /// The policy of a key: that of the part before its first colon.
    pub fn policy(&self, key: &str) -> Policy {
        let kind = key.split(':').next().unwrap_or_default();
        self.policies.iter().find(|named| named.name == kind).map(|named| named.policy).unwrap_or_default()
    }
}

/// A span of time as people write it, such as `30s`, `5m`, `12h` or `7d`, in milliseconds.
pub fn parse_age(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// A number of bytes as people write it, such as `512KB` or `20MB`; thousands, as disks are counted.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_read_as_people_write_them() {
        let ages =
            ["0s", "250ms", "30s", "5m", "12h", "7d", "5", "m", "5 m", "-5m", "1.5h", "99999999999999999999d", ""];
        let read = ages.map(parse_age);
        let mut wanted = [None; 13];
        wanted[..6].copy_from_slice(&[0, 250, 30_000, 300_000, 43_200_000, 604_800_000].map(Some));
        assert_eq!(read, wanted);
        assert_eq!(parse_age(&format!("{}d", u64::MAX)), None);
        let sizes = ["20MB", "20 MB", "512kb", "1MiB", "7", "7 potatoes", "MB", "9999999999999GB"].map(parse_bytes);
        let wanted = [Some(20_000_000), Some(20_000_000), Some(512_000), Some(1 << 20), Some(7), None, None, None];
        assert_eq!(sizes, wanted);
    }

    #[test]
    fn a_policy_is_for_its_name_and_for_what_begins_with_it_and_a_colon() {
        let policy = Policy { priority: 80, ..Policy::default() };
        let caching = Caching { policies: vec![NamedPolicy { name: "balance".into(), policy }], ..Caching::default() };
        let priorities = ["balance", "balance:42", "balance:4:2", "balances", "", ":balance"]
            .map(|key| caching.policy(key).priority);
        assert_eq!(priorities, [80, 80, 80, 50, 50, 50]);
    }
}
