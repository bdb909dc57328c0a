//! A TOML table as a section whose keys are taken one by one; what nobody took is unknown.

use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::{Report, Span, names};
use crate::error::codes;
use crate::schema::caching::{parse_age, parse_bytes};

/// A day, milliseconds.
pub(super) const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// The longest time that can be declared: a hundred years, milliseconds.
pub(super) const LONGEST_MS: u64 = 100 * 366 * DAY_MS;

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry<'t> {
    pub(super) key: &'t str,
    pub(super) key_span: Span,
    pub(super) value: &'t DeValue<'t>,
    pub(super) span: Span,
}

/// A string with its place.
pub(super) type Word<'t> = (&'t str, Span);

impl<'t> Entry<'t> {
    fn wrong(&self, expected: &str, example: &str, report: &mut Report) {
        report
            .add(codes::WRONG_FORM, self.span.clone(), format!("`{}` must be {expected}", self.key))
            .label(format!("this is {}", kind(self.value)))
            .help(format!("such as: {} = {example}", self.key));
    }

    /// The value as a string.
    pub(super) fn text(&self, report: &mut Report) -> Option<&'t str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.wrong("a string", "\"…\"", report);
        }
        text
    }

    /// The value as a boolean.
    pub(super) fn boolean(&self, report: &mut Report) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.wrong("true or false", "true", report);
        }
        value
    }

    /// The value as a whole number within `range`.
    pub(super) fn whole_number(&self, range: RangeInclusive<i64>, report: &mut Report) -> Option<i64> {
        let number = self.value.as_integer().and_then(|i| i64::from_str_radix(i.as_str(), i.radix()).ok());
        let fits = number.filter(|n| range.contains(n));
        if fits.is_none() {
            let expected = format!("a whole number from {} to {}", range.start(), range.end());
            self.wrong(&expected, &range.start().max(&1).to_string(), report);
        }
        fits
    }

    /// The value as a time: a whole number with `ms`, `s`, `m`, `h` or `d`. Milliseconds.
    pub(super) fn duration(&self, range: RangeInclusive<u64>, example: &str, report: &mut Report) -> Option<u64> {
        let expected = "a time: a whole number with ms, s, m, h or d";
        self.measure(parse_age, range, (expected, example), report)
    }

    /// The value as a size: a whole number with `KB`, `MB`, `GB` (thousands), `KiB`, `MiB` or `GiB`. Bytes.
    pub(super) fn size(&self, range: RangeInclusive<u64>, example: &str, report: &mut Report) -> Option<u64> {
        let expected = "a size: a whole number with KB, MB, GB, KiB, MiB or GiB";
        self.measure(parse_bytes, range, (expected, example), report)
    }

    fn measure(
        &self,
        parse: fn(&str) -> Option<u64>,
        range: RangeInclusive<u64>,
        (expected, example): (&str, &str),
        report: &mut Report,
    ) -> Option<u64> {
        let fits = self.value.as_str().and_then(parse).filter(|value| range.contains(value));
        if fits.is_none() {
            self.wrong(&format!("{expected}, within its bounds"), &format!("\"{example}\""), report);
        }
        fits
    }

    /// The value as a string or a list of strings.
    pub(super) fn words(&self, report: &mut Report) -> Option<Vec<Word<'t>>> {
        if let Some(text) = self.value.as_str() {
            return Some(vec![(text, self.span.clone())]);
        }
        let words = self.value.as_array().and_then(|list| {
            list.iter().map(|item| item.get_ref().as_str().map(|text| (text, item.span()))).collect::<Option<Vec<_>>>()
        });
        if words.is_none() {
            self.wrong("a name or a list of names", "[\"…\"]", report);
        }
        words
    }

    /// The value as one of `choices`. A word in `later` is known, but not there yet.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)], later: &[&str], report: &mut Report) -> Option<T> {
        let word = self.text(report)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == word) {
            return Some(*value);
        }
        let possible = choices.iter().map(|(name, _)| *name);
        if later.contains(&word) {
            let known: Vec<_> = possible.map(|name| format!("`{name}`")).collect();
            report
                .add(codes::NOT_YET, self.span.clone(), format!("`{} = \"{word}\"` is not there yet", self.key))
                .label("planned for a later version")
                .help(format!("this version has {}", known.join(", ")));
        } else {
            report
                .add(
                    codes::UNKNOWN_CHOICE,
                    self.span.clone(),
                    format!("{} is not a choice for `{}`", names::show(word), self.key),
                )
                .help(names::suggest(word, possible));
        }
        None
    }
}

/// What a value is, in TOML's words with an article.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A TOML table being read.
#[derive(Debug)]
pub(super) struct Section<'t> {
    what: String,
    entries: Vec<Entry<'t>>,
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// A section over a TOML table, in the order of the file.
    pub(super) fn new(what: String, table: &'t DeTable<'t>) -> Self {
        let entry = |key: &'t str, key_span, value: &'t toml::Spanned<DeValue<'t>>| Entry {
            key,
            key_span,
            value: value.get_ref(),
            span: value.span(),
        };
        let mut entries: Vec<_> =
            table.iter().map(|(key, value)| entry(key.get_ref().as_ref(), key.span(), value)).collect();
        entries.sort_by_key(|e| e.key_span.start);
        Self { what, entries, known: Vec::new() }
    }

    /// The section that an entry holds.
    pub(super) fn of(entry: &Entry<'t>, what: String, report: &mut Report) -> Option<Self> {
        let table = entry.value.as_table();
        if table.is_none() {
            report
                .add(codes::WRONG_FORM, entry.span.clone(), format!("{what} must be a table of keys and values"))
                .label(format!("this is {}", kind(entry.value)))
                .help(format!("such as: {} = {{ … }}, or a header of its own in brackets", entry.key));
        }
        table.map(|table| Self::new(what, table))
    }

    /// Takes a key's value, and makes the key known.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry<'t>> {
        self.known.push(key);
        let at = self.entries.iter().position(|e| e.key == key)?;
        Some(self.entries.remove(at))
    }

    /// Reports keys that the design has and this version has not.
    pub(super) fn later(&mut self, keys: &[&str], report: &mut Report) {
        let what = &self.what;
        self.entries.retain(|e| {
            let later = keys.contains(&e.key);
            if later {
                report
                    .add(codes::NOT_YET, e.key_span.clone(), format!("`{}` in {what} is not there yet", e.key))
                    .label("planned for a later version")
                    .help("remove it");
            }
            !later
        });
    }

    /// Takes every one of `keys` that is there, without making them known.
    pub(super) fn remove_any(&mut self, keys: &[&str]) -> Vec<Entry<'t>> {
        let (found, rest) = std::mem::take(&mut self.entries).into_iter().partition(|e| keys.contains(&e.key));
        self.entries = rest;
        found
    }

    /// The entries whose keys are names.
    pub(super) fn into_entries(self) -> Vec<Entry<'t>> {
        self.entries
    }

    /// Reports the keys that nobody took.
    pub(super) fn finish(self, report: &mut Report) {
        for entry in self.entries {
            report
                .add(codes::UNKNOWN_KEY, entry.key_span, format!("{} has no key {}", self.what, names::show(entry.key)))
                .help(names::suggest(entry.key, self.known.iter().copied()));
        }
    }
}
