-- What lowered predicates call on PostgreSQL. The functions that can fail are VOLATILE, or constants would be computed
-- while planning, before a guard is tested; and in plpgsql, which is never inlined. All are called on NULL input, or an
-- error beside a NULL would vanish.

CREATE OR REPLACE FUNCTION landfall_add(a int8, b int8) RETURNS int8 LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
$$ BEGIN RETURN a + b; END $$;
CREATE OR REPLACE FUNCTION landfall_sub(a int8, b int8) RETURNS int8 LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
$$ BEGIN RETURN a - b; END $$;
CREATE OR REPLACE FUNCTION landfall_mul(a int8, b int8) RETURNS int8 LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
$$ BEGIN RETURN a * b; END $$;
CREATE OR REPLACE FUNCTION landfall_div(a int8, b int8) RETURNS int8 LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
$$ BEGIN RETURN a / b; END $$;
CREATE OR REPLACE FUNCTION landfall_rem(a int8, b int8) RETURNS int8 LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
$$ BEGIN RETURN a % b; END $$;
CREATE OR REPLACE FUNCTION landfall_neg(a int8) RETURNS int8 LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
$$ BEGIN RETURN -a; END $$;

CREATE OR REPLACE FUNCTION landfall_add(a float8, b float8) RETURNS float8 LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
$$ BEGIN RETURN a + b; END $$;
CREATE OR REPLACE FUNCTION landfall_sub(a float8, b float8) RETURNS float8 LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
$$ BEGIN RETURN a - b; END $$;
CREATE OR REPLACE FUNCTION landfall_neg(a float8) RETURNS float8 LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
$$ BEGIN RETURN -a; END $$;

-- The server takes a result too near to 0 for an error as well, under the same code as one too large. Only the former
-- comes of a factor below 1, and of a divisor above it. Catching an error is not allowed in a parallel query.
CREATE OR REPLACE FUNCTION landfall_mul(a float8, b float8) RETURNS float8 LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE AS
$$ BEGIN
  RETURN a * b;
EXCEPTION WHEN numeric_value_out_of_range THEN
  IF abs(a) < 1 OR abs(b) < 1 THEN RETURN 0; END IF;
  RAISE;
END $$;
CREATE OR REPLACE FUNCTION landfall_div(a float8, b float8) RETURNS float8 LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE AS
$$ BEGIN
  RETURN a / b;
EXCEPTION WHEN numeric_value_out_of_range THEN
  IF abs(b) > 1 THEN RETURN 0; END IF;
  RAISE;
END $$;

-- The value, if it fits 64 bits at the scale.
CREATE OR REPLACE FUNCTION landfall_at_scale(a numeric, scale int4) RETURNS numeric LANGUAGE plpgsql VOLATILE
PARALLEL SAFE AS $$ BEGIN
  IF a * (10::numeric ^ scale) NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
    RAISE EXCEPTION 'a number is too large for its type' USING ERRCODE = 'numeric_value_out_of_range';
  END IF;
  RETURN a;
END $$;
CREATE OR REPLACE FUNCTION landfall_add(a numeric, b numeric, scale int4) RETURNS numeric LANGUAGE plpgsql VOLATILE
PARALLEL SAFE AS $$ BEGIN RETURN landfall_at_scale(a + b, scale); END $$;
CREATE OR REPLACE FUNCTION landfall_sub(a numeric, b numeric, scale int4) RETURNS numeric LANGUAGE plpgsql VOLATILE
PARALLEL SAFE AS $$ BEGIN RETURN landfall_at_scale(a - b, scale); END $$;
CREATE OR REPLACE FUNCTION landfall_mul(a numeric, b numeric, scale int4) RETURNS numeric LANGUAGE plpgsql VOLATILE
PARALLEL SAFE AS $$ BEGIN RETURN landfall_at_scale(a * b, scale); END $$;
CREATE OR REPLACE FUNCTION landfall_rem(a numeric, b numeric, scale int4) RETURNS numeric LANGUAGE plpgsql VOLATILE
PARALLEL SAFE AS $$ BEGIN RETURN landfall_at_scale(a % b, scale); END $$;
CREATE OR REPLACE FUNCTION landfall_neg(a numeric, scale int4) RETURNS numeric LANGUAGE plpgsql VOLATILE
PARALLEL SAFE AS $$ BEGIN RETURN landfall_at_scale(-a, scale); END $$;

-- All digits of a finite float; a cast keeps 15. The float is m × 2^e, and 2^-k is 5^k × 10^-k.
CREATE OR REPLACE FUNCTION landfall_exact(f float8) RETURNS numeric LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  bits int8;
  exponent int4;
  mantissa int8;
BEGIN
  IF f IS NULL THEN
    RETURN NULL;
  ELSIF f = trunc(f) AND abs(f) < 9.2e18 THEN
    RETURN f::int8;
  END IF;
  bits := ('x' || encode(float8send(f), 'hex'))::bit(64)::int8;
  exponent := (bits >> 52) & 2047;
  mantissa := bits & 4503599627370495;
  IF exponent = 0 THEN
    exponent := -1074;
  ELSE
    mantissa := mantissa | 4503599627370496;
    exponent := exponent - 1075;
  END IF;
  IF f < 0 THEN
    mantissa := -mantissa;
  END IF;
  IF exponent >= 0 THEN
    RETURN mantissa * (2::numeric ^ exponent);
  END IF;
  RETURN mantissa * (5::numeric ^ -exponent) * ('1e' || exponent)::numeric;
END $$;

CREATE OR REPLACE FUNCTION landfall_compare(a numeric, b numeric) RETURNS int4 LANGUAGE plpgsql IMMUTABLE
PARALLEL SAFE AS $$ BEGIN RETURN sign(a - b); END $$;
CREATE OR REPLACE FUNCTION landfall_between(a numeric, low numeric, high numeric) RETURNS bool LANGUAGE plpgsql IMMUTABLE
PARALLEL SAFE AS $$ BEGIN RETURN a BETWEEN low AND high; END $$;
CREATE OR REPLACE FUNCTION landfall_in(a numeric, list numeric[]) RETURNS bool LANGUAGE plpgsql IMMUTABLE
PARALLEL SAFE AS $$ BEGIN RETURN a = ANY (list); END $$;
CREATE OR REPLACE FUNCTION landfall_and(list bool[]) RETURNS bool LANGUAGE plpgsql IMMUTABLE
PARALLEL SAFE AS $$ BEGIN RETURN NOT (false = ANY (list)); END $$;
CREATE OR REPLACE FUNCTION landfall_or(list bool[]) RETURNS bool LANGUAGE plpgsql IMMUTABLE
PARALLEL SAFE AS $$ BEGIN RETURN true = ANY (list); END $$;

-- Unicode's simple lower-case mapping, the same under every locale and version of the server. `translate` looks through
-- its whole list for each character, so the mapping stands in parts, and only those that a text needs are applied.
CREATE OR REPLACE FUNCTION landfall_fold(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$ BEGIN
  t := lower(t COLLATE "C");
  IF octet_length(t) = char_length(t) THEN RETURN t; END IF;
{parts}  RETURN t;
END $$;
