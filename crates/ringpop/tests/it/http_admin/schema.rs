//! As much of JSON Schema as the description uses. What it does not know fails.

use serde_json::Value;

pub struct Description(Value);

impl Description {
    pub fn new(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap())
    }

    /// All methods and paths.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &str)> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (method.as_str(), path.as_str()))
        })
    }

    /// The answer of a request has the form that is described.
    pub fn check(&self, method: &str, path: &str, status: &str, answer: &Value) {
        let answers = &self.0["paths"][path][method]["responses"];
        let schema = &answers[status]["content"]["application/json"]["schema"];
        self.matches(schema, answer, path).unwrap_or_else(|wrong| panic!("{wrong}: {answer}"));
    }

    /// The body of a command has the form that is described.
    pub fn check_request(&self, path: &str, body: &Value) {
        let schema = &self.0["paths"][path]["post"]["requestBody"]["content"]["application/json"];
        self.matches(&schema["schema"], body, path).unwrap();
    }

    pub fn check_named(&self, name: &str, value: &Value) {
        let schema = &self.0["components"]["schemas"][name];
        self.matches(schema, value, name).unwrap_or_else(|wrong| panic!("{wrong}: {value}"));
    }

    fn matches(&self, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{place} {what}"));
        let Some(rules) = schema.as_object() else { return wrong("is not described") };
        for (rule, wanted) in rules {
            let holds = match rule.as_str() {
                "description" => true,
                "$ref" => {
                    let pointer = wanted.as_str().unwrap().trim_start_matches('#');
                    self.matches(self.0.pointer(pointer).unwrap(), value, place)?;
                    true
                }
                "type" => match wanted {
                    Value::Array(kinds) => kinds.iter().any(|kind| is_a(kind, value)),
                    kind => is_a(kind, value),
                },
                "enum" => wanted.as_array().unwrap().contains(value),
                "const" => wanted == value,
                "minimum" => value.is_null() || value.as_f64().unwrap() >= wanted.as_f64().unwrap(),
                // Shares are added up by machines.
                "maximum" => value.as_f64().unwrap() <= wanted.as_f64().unwrap() + 1e-9,
                "pattern" => matches_pattern(wanted.as_str().unwrap(), value.as_str().unwrap()),
                "anyOf" | "oneOf" => {
                    let options = wanted.as_array().unwrap().iter();
                    let fit = options.filter(|it| self.matches(it, value, place).is_ok()).count();
                    fit == 1
                }
                "items" => {
                    for item in value.as_array().into_iter().flatten() {
                        self.matches(wanted, item, &format!("{place}[]"))?;
                    }
                    true
                }
                "properties" => {
                    for (name, schema) in wanted.as_object().unwrap() {
                        if let Some(value) = value.get(name) {
                            self.matches(schema, value, &format!("{place}.{name}"))?;
                        }
                    }
                    true
                }
                "required" => {
                    let mut names = wanted.as_array().unwrap().iter();
                    names.all(|name| value.get(name.as_str().unwrap()).is_some())
                }
                "additionalProperties" => {
                    let known = rules.get("properties").and_then(Value::as_object);
                    let others = value.as_object().into_iter().flatten();
                    for (name, value) in others {
                        if known.is_some_and(|known| known.contains_key(name)) {
                            continue;
                        }
                        if *wanted == Value::Bool(false) {
                            return wrong(&format!("has {name}, which is not described"));
                        }
                        self.matches(wanted, value, &format!("{place}.{name}"))?;
                    }
                    true
                }
                other => panic!("{other} is not known here"),
            };
            if !holds {
                return wrong(&format!("is not {rule} {wanted}"));
            }
        }
        Ok(())
    }
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

/// Answers use one pattern, that of checksums.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    assert_eq!(pattern, "^[0-9a-f]{16}$");
    text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
