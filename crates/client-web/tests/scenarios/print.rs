//! JSON as a person reviews it: what fits in a line stands in one.

use serde_json::Value as Json;

const WIDTH: usize = 138;

/// The text of a file.
pub fn file(json: &Json) -> String {
    let mut out = String::new();
    print(json, 0, 0, &mut out);
    out.push('\n');
    out
}

/// `used`: what stands in the line already.
fn print(json: &Json, indent: usize, used: usize, out: &mut String) {
    let line = inline(json);
    let is_leaf = !matches!(json, Json::Array(_) | Json::Object(_));
    if is_leaf || indent + used + line.chars().count() <= WIDTH {
        out.push_str(&line);
        return;
    }
    let parts: Vec<(String, &Json)> = match json {
        Json::Object(object) => object.iter().map(|(name, value)| (format!("\"{name}\": "), value)).collect(),
        Json::Array(list) => list.iter().map(|value| (String::new(), value)).collect(),
        _ => Vec::new(),
    };
    let (open, close) = if json.is_object() { ('{', '}') } else { ('[', ']') };
    out.push(open);
    let last = parts.len() - 1;
    for (at, (name, value)) in parts.into_iter().enumerate() {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent + 2));
        out.push_str(&name);
        print(value, indent + 2, name.chars().count() + 1, out);
        if at < last {
            out.push(',');
        }
    }
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
    out.push(close);
}

fn inline(json: &Json) -> String {
    match json {
        Json::Array(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Json::Object(object) => {
            let part = |(name, value): (&String, &Json)| format!("{}: {}", Json::from(name.as_str()), inline(value));
            let parts: Vec<String> = object.iter().map(part).collect();
            if parts.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", parts.join(", ")) }
        }
        leaf => leaf.to_string(),
    }
}
