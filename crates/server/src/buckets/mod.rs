//! Who sees what: templates, buckets, and which buckets a changed row is in.
//!
//! A *template* is shape ∧ read rule ∧ visible columns; a *bucket* is a template with the values of its parameters and
//! of the claims that it uses. Each bucket has one log, shared by all who are allowed to see it, encoded once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use landfall_core::hash::{ContentHash, hash128};
use landfall_core::predicate::{Env, Operand, Predicate};
use landfall_core::schema::{MAX_KEY_BYTES, Param, Schema, Shape, Table};
use landfall_core::value::ColumnType;
use landfall_core::{BucketId, Problem, Value, json};
use landfall_protocol::codes;

use crate::store::Subject;

mod fan;
mod index;

pub use fan::{Before, Fan};
pub use index::BucketIndex;

/// A compiled shape. Shapes that mean the same share one.
#[derive(Debug)]
pub struct Template {
    /// Identifies the content: table, condition, columns, parameters. Another read rule makes another template.
    pub id: ContentHash,
    /// The table.
    pub table: String,
    /// The visible columns, key columns first in key order: the columns of `Opening`.
    pub columns: Vec<(String, ColumnType)>,
    /// How many of the columns are the key's.
    pub key_columns: usize,
    /// The parameters to give.
    pub params: Vec<Param>,
    /// The claims used.
    pub claims: BTreeSet<String>,
    /// The shape's condition and the read rule, joined; absent: every row.
    pub predicate: Option<Predicate>,
    /// Equalities that every row of a bucket fulfils.
    pub equalities: Vec<(String, Operand)>,
}

impl Template {
    /// Compiles a shape; `None` when its table is not in the schema (which the schema's own checks exclude).
    pub fn compile(schema: &Schema, shape: &Shape) -> Option<Self> {
        let table = schema.table(&shape.table)?;
        let predicate = match (shape.filter.clone(), table.access.read.clone()) {
            (Some(filter), Some(read)) => Some(Predicate::and(filter, read)),
            (filter, read) => filter.or(read),
        };
        let keys = table.key_columns().map(|c| (c.name.clone(), c.ty));
        let rest = shape.visible_columns(table).filter(|c| !table.is_key(&c.name)).map(|c| (c.name.clone(), c.ty));
        let columns: Vec<_> = keys.chain(rest).collect();
        Some(Self {
            id: Self::identify(table, &predicate, &columns, &shape.params),
            table: table.name.clone(),
            key_columns: table.primary_key.len(),
            columns,
            params: shape.params.clone(),
            claims: predicate.as_ref().map(|p| p.claims().into_iter().collect()).unwrap_or_default(),
            equalities: predicate.as_ref().map(Predicate::equality_operands).unwrap_or_default(),
            predicate,
        })
    }

    fn identify(
        table: &Table,
        predicate: &Option<Predicate>,
        columns: &[(String, ColumnType)],
        params: &[Param],
    ) -> ContentHash {
        let mut text = String::from("[");
        json::string(&table.name, &mut text);
        text.push(',');
        match predicate {
            None => text.push_str("null"),
            Some(predicate) => predicate.write_json(&mut text),
        }
        text.push(',');
        json::list(columns, &mut text, |(name, ty), out| {
            out.push('[');
            json::string(name, out);
            out.push(',');
            ty.write_json(out);
            out.push(']');
        });
        text.push(',');
        json::list(params, &mut text, Param::write_json);
        text.push(']');
        hash128(text.as_bytes())
    }

    /// The values that make a bucket of this template: what the shape is opened with, and the claims that it uses.
    ///
    /// # Errors
    /// A parameter that is missing, unknown or of the wrong type.
    pub fn env(&self, params: &BTreeMap<String, Value>, subject: &Subject) -> Result<Env, Problem> {
        let bad = |message: String| Err(Problem::new(codes::BAD_PARAMETERS, message));
        if let Some(name) = params.keys().find(|name| !self.params.iter().any(|p| p.name == **name)) {
            return bad(format!("the shape has no parameter '{name}'; leave it out"));
        }
        if params.values().map(Value::size).sum::<usize>() > MAX_KEY_BYTES {
            // The server remembers them for as long as anybody may come back for the bucket.
            return bad(format!("the parameters are longer than {MAX_KEY_BYTES} bytes together; make them shorter"));
        }
        for param in &self.params {
            match params.get(&param.name) {
                None => return bad(format!("the parameter '{}' of type {} is missing", param.name, param.ty)),
                Some(value) if value.is_null() || !value.fits(param.ty) => {
                    let found = value.type_of().map_or_else(|| "null".to_owned(), |t| t.to_string());
                    return bad(format!("the parameter '{}' is of type {}, not {found}", param.name, param.ty));
                }
                Some(_) => {}
            }
        }
        let claims = self.claims.iter().filter_map(|name| Some((name.clone(), subject.claim(name)?)));
        Ok(Env { params: params.clone(), claims: claims.collect() })
    }

    /// Whether its buckets differ by the value of a column.
    pub(crate) fn has_values(&self) -> bool {
        self.equalities.iter().any(|(_, operand)| !matches!(operand, Operand::Literal(_)))
    }

    /// The template as a bucket's values identify it.
    pub(crate) fn bucket_key(&self, env: &Env) -> ContentHash {
        hash128(&[&self.id[..], &encode_env(env)].concat())
    }
}

/// The templates of all shapes, by shape name; shapes that mean the same share one.
pub fn templates(schema: &Schema) -> BTreeMap<String, Arc<Template>> {
    let mut by_id: BTreeMap<ContentHash, Arc<Template>> = BTreeMap::new();
    let mut out = BTreeMap::new();
    for shape in &schema.shapes {
        if let Some(template) = Template::compile(schema, shape) {
            let shared = by_id.entry(template.id).or_insert_with(|| Arc::new(template));
            out.insert(shape.name.clone(), Arc::clone(shared));
        }
    }
    out
}

/// A bucket: a template with values. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Given out once, never reused.
    pub id: BucketId,
    /// Its template.
    pub template: Arc<Template>,
    /// Its values.
    pub env: Arc<Env>,
    /// Its log begins after this sequence.
    pub since: u64,
}

impl Bucket {
    /// Whether the row is in the bucket. A condition that cannot be evaluated for a row (division by zero) does not
    /// hold for it.
    pub fn holds(&self, row: &landfall_core::hash::Cells) -> bool {
        let predicate = self.template.predicate.as_ref();
        predicate.is_none_or(|p| p.matches(row, &self.env).unwrap_or(false))
    }
}

/// The stored form of a bucket's values.
pub(crate) fn encode_env(env: &Env) -> Vec<u8> {
    // Writing to a Vec cannot fail.
    minicbor::to_vec((&env.params, &env.claims)).unwrap_or_default()
}

/// Reads what [`encode_env`] wrote.
pub(crate) fn decode_env(bytes: &[u8]) -> Result<Env, minicbor::decode::Error> {
    let (params, claims) = minicbor::decode(bytes)?;
    Ok(Env { params, claims })
}
