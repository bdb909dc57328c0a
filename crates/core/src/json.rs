//! JSON objects, read field by field and written in order.
//!
//! serde derives two kilobytes of reader for every type. That of the compiled schema is downloaded by every browser, so
//! that it is read here from a tree ([`serde_json::Value`]) by functions that all types share.

use serde_json::{Map, Value as Json};

/// What is wrong with JSON that was read, in words that name the place.
pub type Misread = String;

/// An object that is read field by field. Fields that nobody asks for are passed over.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    what: &'a str,
    map: &'a Map<String, Json>,
}

impl<'a> Fields<'a> {
    /// The fields of an object; `what` names it in errors.
    ///
    /// # Errors
    /// When it is none.
    pub fn of(json: &'a Json, what: &'a str) -> Result<Self, Misread> {
        json.as_object().map(|map| Self { what, map }).ok_or_else(|| format!("{what} is not an object"))
    }

    fn wrong(&self, name: &str, expected: &str) -> Misread {
        format!("`{name}` of {} is not {expected}", self.what)
    }

    /// A field that may be missing, or null.
    pub fn maybe(&self, name: &str) -> Option<&'a Json> {
        self.map.get(name).filter(|json| !json.is_null())
    }

    /// A field that has to be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn get(&self, name: &str) -> Result<&'a Json, Misread> {
        self.map.get(name).ok_or_else(|| format!("{} has no `{name}`", self.what))
    }

    /// A text.
    ///
    /// # Errors
    /// When it is missing, or none.
    pub fn text(&self, name: &str) -> Result<String, Misread> {
        self.get(name)?.as_str().map(str::to_owned).ok_or_else(|| self.wrong(name, "a text"))
    }

    /// A boolean that has to be there.
    ///
    /// # Errors
    /// When it is missing, or none.
    pub fn flag(&self, name: &str) -> Result<bool, Misread> {
        self.get(name)?.as_bool().ok_or_else(|| self.wrong(name, "true or false"))
    }

    /// A boolean; missing, it is false.
    ///
    /// # Errors
    /// When it is none.
    pub fn is(&self, name: &str) -> Result<bool, Misread> {
        if self.map.contains_key(name) { self.flag(name) } else { Ok(false) }
    }

    /// A number of 32 bits.
    ///
    /// # Errors
    /// When it is missing, or none.
    pub fn number(&self, name: &str) -> Result<u32, Misread> {
        let number = self.get(name)?.as_u64().and_then(|n| n.try_into().ok());
        number.ok_or_else(|| self.wrong(name, "a number"))
    }

    /// The elements of a list; missing, it has none.
    ///
    /// # Errors
    /// When it is no list, or one of them cannot be read.
    pub fn list<T>(&self, name: &str, one: fn(&Json) -> Result<T, Misread>) -> Result<Vec<T>, Misread> {
        let Some(json) = self.map.get(name) else { return Ok(Vec::new()) };
        list_of(json, one).unwrap_or_else(|| Err(self.wrong(name, "a list")))
    }
}

/// The elements of a list, unless it is none.
pub fn list_of<T>(json: &Json, one: fn(&Json) -> Result<T, Misread>) -> Option<Result<Vec<T>, Misread>> {
    let mut out = Vec::new();
    for json in json.as_array()? {
        match one(json) {
            Ok(element) => out.push(element),
            Err(error) => return Some(Err(error)),
        }
    }
    Some(Ok(out))
}

/// A text.
///
/// # Errors
/// When it is none.
pub fn text(json: &Json) -> Result<String, Misread> {
    json.as_str().map(str::to_owned).ok_or_else(|| format!("{json} is not a text"))
}

/// The name of a variant, and what belongs to it: `"now"`, `{"value": …}`.
///
/// # Errors
/// When it is neither of the two.
pub fn variant(json: &Json) -> Result<(&str, &Json), Misread> {
    if let Json::String(name) = json {
        return Ok((name, &Json::Null));
    }
    let one = json.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next());
    one.map(|(name, json)| (name.as_str(), json)).ok_or_else(|| format!("{json} names nothing that is known here"))
}

/// What a name stands for.
///
/// # Errors
/// When it stands for nothing.
pub fn one_of<T: Copy>(json: &Json, all: &[(&str, T)]) -> Result<T, Misread> {
    let known = all.iter().find(|(name, _)| json.as_str() == Some(name));
    known.map(|(_, value)| *value).ok_or_else(|| format!("{json} is not known here"))
}

/// The name that stands for this.
pub fn name_of<T: Copy + PartialEq>(value: T, all: &[(&'static str, T)]) -> &'static str {
    all.iter().find(|(_, one)| *one == value).map_or("", |(name, _)| name)
}

/// Appends a string in quotes.
pub fn string(text: &str, out: &mut String) {
    // A string always serialises.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// Appends a list.
pub fn list<T>(items: impl IntoIterator<Item = T>, out: &mut String, mut item: impl FnMut(T, &mut String)) {
    out.push('[');
    for (i, one) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        item(one, out);
    }
    out.push(']');
}

/// An object that is written field by field. It is whole when it is dropped.
pub struct Object<'a> {
    out: &'a mut String,
    before: char,
}

impl<'a> Object<'a> {
    /// Begins one at the end of a text.
    pub fn new(out: &'a mut String) -> Self {
        Self { out, before: '{' }
    }

    /// Where the value of the next field goes.
    pub fn field(&mut self, name: &str) -> &mut String {
        self.out.push(self.before);
        self.before = ',';
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        self.out
    }

    /// A text.
    pub fn text(&mut self, name: &str, value: &str) {
        string(value, self.field(name));
    }

    /// A boolean.
    pub fn flag(&mut self, name: &str, value: bool) {
        self.field(name).push_str(if value { "true" } else { "false" });
    }

    /// A field that is null where there is nothing to write.
    pub fn maybe<T>(&mut self, name: &str, value: Option<&T>, write: fn(&T, &mut String)) {
        let out = self.field(name);
        match value {
            None => out.push_str("null"),
            Some(value) => write(value, out),
        }
    }

    /// A list.
    pub fn list<T>(&mut self, name: &str, items: &[T], write: fn(&T, &mut String)) {
        list(items, self.field(name), write);
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        if self.before == '{' {
            self.out.push('{');
        }
        self.out.push('}');
    }
}
