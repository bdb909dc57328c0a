//! The tree, and the small builder for writing one in Rust.

use crate::value::{ColumnType, Value};

/// A node of a condition. Types of columns, parameters and claims are filled in by [`super::Predicate::check`].
///
/// ```
/// use landfall_core::predicate::Expr;
/// let open = Expr::col("list_id").eq(Expr::param("list")).and(!Expr::col("done"));
/// # let _ = open;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A fixed value.
    Literal(Value),
    /// A column of the row.
    Column {
        /// Its name.
        name: String,
        /// Its type.
        ty: Option<ColumnType>,
    },
    /// A parameter, `:name`.
    Param {
        /// Its name.
        name: String,
        /// Its type.
        ty: Option<ColumnType>,
    },
    /// A claim of the subject's token, `claim('name')`.
    Claim {
        /// Its name.
        name: String,
        /// The type it takes from what it stands beside; none where any will do (`IS NULL`).
        ty: Option<ColumnType>,
    },
    /// All hold.
    And(Vec<Expr>),
    /// One holds.
    Or(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// A comparison.
    Compare {
        /// Which.
        op: CompareOp,
        /// The left operand.
        left: Box<Expr>,
        /// The right operand.
        right: Box<Expr>,
    },
    /// It is NULL.
    IsNull(Box<Expr>),
    /// Text matches a pattern.
    Like {
        /// The text.
        expr: Box<Expr>,
        /// The pattern: a literal, a parameter or a claim.
        pattern: Box<Expr>,
        /// The escape character, when there is one.
        escape: Option<char>,
        /// ILIKE: both are folded to lower case.
        fold: bool,
    },
    /// It is one of these.
    In {
        /// What is looked for.
        expr: Box<Expr>,
        /// Literals, parameters and claims.
        list: Vec<Expr>,
    },
    /// It lies between two values, both included.
    Between {
        /// What is tested.
        expr: Box<Expr>,
        /// The smallest value.
        low: Box<Expr>,
        /// The largest value.
        high: Box<Expr>,
    },
    /// Arithmetic.
    Arith {
        /// Which.
        op: ArithOp,
        /// The left operand.
        left: Box<Expr>,
        /// The right operand.
        right: Box<Expr>,
    },
    /// Unary minus.
    Neg(Box<Expr>),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

impl CompareOp {
    /// The operator in SQL.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// Whether it holds for operands in this order.
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }
}

/// An arithmetic operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArithOp {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient.
    Div,
    /// Remainder.
    Rem,
}

impl ArithOp {
    /// The operator in SQL.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Rem => "%",
        }
    }
}

impl Expr {
    /// A column.
    pub fn col(name: impl Into<String>) -> Self {
        Self::Column { name: name.into(), ty: None }
    }

    /// A parameter, by its name without the colon.
    pub fn param(name: impl Into<String>) -> Self {
        Self::Param { name: name.into(), ty: None }
    }

    /// A claim of the subject's token.
    pub fn claim(name: impl Into<String>) -> Self {
        Self::Claim { name: name.into(), ty: None }
    }

    fn compare(self, op: CompareOp, other: impl Into<Self>) -> Self {
        Self::Compare { op, left: Box::new(self), right: Box::new(other.into()) }
    }

    /// `self = other`
    #[must_use]
    pub fn eq(self, other: impl Into<Self>) -> Self {
        self.compare(CompareOp::Eq, other)
    }

    /// `self <> other`
    #[must_use]
    pub fn ne(self, other: impl Into<Self>) -> Self {
        self.compare(CompareOp::Ne, other)
    }

    /// `self < other`
    #[must_use]
    pub fn lt(self, other: impl Into<Self>) -> Self {
        self.compare(CompareOp::Lt, other)
    }

    /// `self <= other`
    #[must_use]
    pub fn le(self, other: impl Into<Self>) -> Self {
        self.compare(CompareOp::Le, other)
    }

    /// `self > other`
    #[must_use]
    pub fn gt(self, other: impl Into<Self>) -> Self {
        self.compare(CompareOp::Gt, other)
    }

    /// `self >= other`
    #[must_use]
    pub fn ge(self, other: impl Into<Self>) -> Self {
        self.compare(CompareOp::Ge, other)
    }

    /// `self AND other`; conjunctions of conjunctions become one.
    #[must_use]
    pub fn and(self, other: impl Into<Self>) -> Self {
        let parts = |e| {
            if let Self::And(list) = e { list } else { vec![e] }
        };
        let mut list = parts(self);
        list.extend(parts(other.into()));
        Self::And(list)
    }

    /// `self OR other`; disjunctions of disjunctions become one.
    #[must_use]
    pub fn or(self, other: impl Into<Self>) -> Self {
        let parts = |e| {
            if let Self::Or(list) = e { list } else { vec![e] }
        };
        let mut list = parts(self);
        list.extend(parts(other.into()));
        Self::Or(list)
    }

    /// `self IS NULL`
    #[must_use]
    pub fn is_null(self) -> Self {
        Self::IsNull(Box::new(self))
    }

    /// `self IS NOT NULL`
    #[must_use]
    pub fn is_not_null(self) -> Self {
        !self.is_null()
    }

    /// `self LIKE pattern`, case-sensitive, without an escape character.
    #[must_use]
    pub fn like(self, pattern: impl Into<Self>) -> Self {
        Self::Like { expr: Box::new(self), pattern: Box::new(pattern.into()), escape: None, fold: false }
    }

    /// `self ILIKE pattern`, without an escape character.
    #[must_use]
    pub fn ilike(self, pattern: impl Into<Self>) -> Self {
        Self::Like { expr: Box::new(self), pattern: Box::new(pattern.into()), escape: None, fold: true }
    }

    /// `self IN (list)`
    #[must_use]
    pub fn is_in<E: Into<Self>>(self, list: impl IntoIterator<Item = E>) -> Self {
        Self::In { expr: Box::new(self), list: list.into_iter().map(Into::into).collect() }
    }

    /// `self BETWEEN low AND high`
    #[must_use]
    pub fn between(self, low: impl Into<Self>, high: impl Into<Self>) -> Self {
        Self::Between { expr: Box::new(self), low: Box::new(low.into()), high: Box::new(high.into()) }
    }

    fn arith(self, op: ArithOp, other: Self) -> Self {
        Self::Arith { op, left: Box::new(self), right: Box::new(other) }
    }

    /// The conjuncts at the top, from left to right; the expression itself when it is no conjunction.
    pub(super) fn conjuncts(&self) -> Vec<&Self> {
        match self {
            Self::And(list) => list.iter().flat_map(Self::conjuncts).collect(),
            other => vec![other],
        }
    }

    /// The operands, in the order of the source.
    pub(super) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_) | Self::Column { .. } | Self::Param { .. } | Self::Claim { .. } => Vec::new(),
            Self::And(list) | Self::Or(list) => list.iter().collect(),
            Self::Not(e) | Self::IsNull(e) | Self::Neg(e) => vec![e],
            Self::Compare { left, right, .. } | Self::Arith { left, right, .. } => {
                vec![left, right]
            }
            Self::Like { expr, pattern, .. } => vec![expr, pattern],
            Self::In { expr, list } => std::iter::once(&**expr).chain(list).collect(),
            Self::Between { expr, low, high } => vec![expr, low, high],
        }
    }

    pub(super) fn visit<'a>(&'a self, f: &mut impl FnMut(&'a Self)) {
        f(self);
        for child in self.children() {
            child.visit(f);
        }
    }

    pub(super) fn visit_mut(&mut self, f: &mut impl FnMut(&mut Self)) {
        f(self);
        match self {
            Self::Literal(_) | Self::Column { .. } | Self::Param { .. } | Self::Claim { .. } => {}
            Self::And(list) | Self::Or(list) => list.iter_mut().for_each(|e| e.visit_mut(f)),
            Self::Not(e) | Self::IsNull(e) | Self::Neg(e) => e.visit_mut(f),
            Self::Compare { left, right, .. } | Self::Arith { left, right, .. } => {
                left.visit_mut(f);
                right.visit_mut(f);
            }
            Self::Like { expr, pattern, .. } => {
                expr.visit_mut(f);
                pattern.visit_mut(f);
            }
            Self::In { expr, list } => {
                expr.visit_mut(f);
                list.iter_mut().for_each(|e| e.visit_mut(f));
            }
            Self::Between { expr, low, high } => {
                expr.visit_mut(f);
                low.visit_mut(f);
                high.visit_mut(f);
            }
        }
    }
}

impl std::ops::Not for Expr {
    type Output = Self;
    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

impl std::ops::Neg for Expr {
    type Output = Self;
    fn neg(self) -> Self {
        Self::Neg(Box::new(self))
    }
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident)*) => {$(
        impl<E: Into<Expr>> std::ops::$trait<E> for Expr {
            type Output = Self;
            fn $method(self, other: E) -> Self {
                self.arith(ArithOp::$trait, other.into())
            }
        }
    )*};
}
arithmetic!(Add add Sub sub Mul mul Div div Rem rem);

macro_rules! literals {
    ($($from:ty => $make:expr;)*) => {$(
        impl From<$from> for Expr {
            fn from(value: $from) -> Self {
                #[allow(clippy::redundant_closure_call, reason = "the macro takes closures to name the value")]
                Self::Literal(($make)(value))
            }
        }
    )*};
}
literals! {
    Value => |v| v;
    &str => |v: &str| Value::Text(v.to_owned());
    String => Value::Text;
    i64 => Value::Int;
    i32 => |v| Value::Int(i64::from(v));
    bool => Value::Bool;
}

impl From<super::Predicate> for Expr {
    fn from(predicate: super::Predicate) -> Self {
        predicate.0
    }
}
