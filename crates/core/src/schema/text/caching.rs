//! `[cache]`: how fetched answers are kept.

use std::ops::RangeInclusive;

use super::reader::{Entry, LONGEST_MS, Section};
use super::{Report, names};
use crate::error::codes;
use crate::schema::Sending;
use crate::schema::caching::{Caching, NamedPolicy, Policy, Strategy, parse_age, parse_bytes};

pub(super) fn read(top: &mut Section<'_>, report: &mut Report) -> Caching {
    let mut caching = Caching::default();
    let Some(entry) = top.take("cache") else { return caching };
    let Some(mut section) = Section::of(&entry, "[cache]".into(), report) else { return caching };
    if let Some(entry) = section.take("max_bytes")
        && let Some(bytes) = read_bytes(&entry, Caching::LEAST_BYTES..=Caching::MOST_BYTES, report)
    {
        caching.max_bytes = bytes;
    }
    if let Some(entry) = section.take("policies")
        && let Some(policies) = Section::of(&entry, "[cache.policies]".into(), report)
    {
        let entries = policies.into_entries();
        if let Some(beyond) = entries.get(Caching::MAX_POLICIES) {
            let message =
                format!("the cache has {} policies, at most {} are allowed", entries.len(), Caching::MAX_POLICIES);
            report
                .add(codes::SCHEMA_LIMIT, beyond.key_span.clone(), message)
                .help("give keys that are kept alike the same beginning");
        }
        caching.policies =
            entries.iter().take(Caching::MAX_POLICIES).filter_map(|entry| read_policy(entry, report)).collect();
    }
    section.finish(report);
    caching
}

fn read_policy(entry: &Entry<'_>, report: &mut Report) -> Option<NamedPolicy> {
    let named = names::check("policy", entry.key, &entry.key_span, report);
    let mut section = Section::of(entry, format!("policy `{}`", entry.key), report)?;
    let mut policy = Policy::default();
    if let Some(strategy) = section.take("strategy").and_then(|e| e.choice(&Strategy::ALL, &[], report)) {
        policy.strategy = strategy;
    }
    if let Some(entry) = section.take("max_age") {
        if entry.value.as_str() == Some("never") {
            policy.max_age_ms = None;
        } else {
            policy.max_age_ms = read_age(&entry, "an age such as \"5m\", or \"never\"", report);
        }
    }
    if let Some(entry) = section.take("timeout") {
        policy.timeout_ms = read_age(&entry, "a time such as \"3s\"", report);
    }
    let priority = section.take("priority").and_then(|e| e.whole_number(0..=i64::from(Sending::MAX_PRIORITY), report));
    if let Some(priority) = priority.and_then(|number| u8::try_from(number).ok()) {
        policy.priority = priority;
    }
    section.finish(report);
    named.then(|| NamedPolicy { name: entry.key.to_owned(), policy })
}

fn read_age(entry: &Entry<'_>, expected: &str, report: &mut Report) -> Option<u64> {
    let age = entry.value.as_str().and_then(parse_age).filter(|ms| *ms <= LONGEST_MS);
    if age.is_none() {
        report
            .add(codes::WRONG_FORM, entry.span.clone(), format!("`{}` must be {expected}", entry.key))
            .label("a whole number with ms, s, m, h or d")
            .help(format!("such as: {} = \"30s\"", entry.key));
    }
    age
}

fn read_bytes(entry: &Entry<'_>, range: RangeInclusive<u64>, report: &mut Report) -> Option<u64> {
    let number = entry.value.as_integer().and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok());
    let bytes = number.or_else(|| entry.value.as_str().and_then(parse_bytes)).filter(|bytes| range.contains(bytes));
    if bytes.is_none() {
        report
            .add(codes::WRONG_FORM, entry.span.clone(), format!("`{}` must be from 64 KiB to 1 GiB", entry.key))
            .label("a number of bytes, or a whole number with KB, MB or GB")
            .help(format!("such as: {} = \"20MB\"", entry.key));
    }
    bytes
}
