use super::*;
use serde_json::json;

#[test]
fn every_shape_compiles() {
    assert_eq!(SHAPES.len(), 7);
}

#[test]
fn names_are_known_in_every_spelling() {
    for name in [
        "sasl.password",
        "sasl_password",
        "SASL_PASSWORD",
        "saslPassword",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.keystore.key",
        "ssl.key.pem",
        "sasl.jaas.config",
        "sasl.oauthbearer.client.secret",
        "listener.name.sasl_ssl.plain.sasl.jaas.config",
        "token",
        "PERJURY_GITHUB_TOKEN",
        "Authorization",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in [
        "sasl.username",
        "ssl.key.location",
        "ssl.certificate.pem",
        "key",
        "message.timeout.ms",
        "tokens.max",
        "password.encoder.iterations",
        "acks",
    ] {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[test]
fn secrets_in_running_text_go() {
    let secrets = Secrets::new();
    for (text, clean) in [
        ("sasl.password=hunter2, acks=all", "sasl.password=[removed], acks=all"),
        (
            r#"login.PlainLoginModule required username="u" password="a b c";"#,
            r#"login.PlainLoginModule required username="u" password="[removed]";"#,
        ),
        (r#"{"line":"password=\"x1y2\" done"}"#, r#"{"line":"password=\"[removed]\" done"}"#),
        (r#"{"sasl.password":"hunter2"}"#, r#"{"sasl.password":"[removed]"}"#),
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer [removed]"),
        ("see http://u:pw@host/x", "see http://u:[removed]@host/x"),
        ("remote ghp_0123456789abcdef0123", "remote [removed]"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----[removed]-----END RSA PRIVATE KEY-----",
        ),
    ] {
        assert_eq!(secrets.text(text), clean);
        assert_eq!(secrets.text(clean), clean, "a second time");
    }
}

#[test]
fn innocent_text_is_borrowed() {
    let secrets = Secrets::new();
    for text in [
        r#"{"index":4,"type":"ok","f":"send","value":[["send","orders-2",[118,904]]]}"#,
        "2026-11-23T17:09:38Z WARN node 3 lost its leader, epoch 7: secret sauce not involved",
        "passwords are never logged",
        "the token bucket is empty",
    ] {
        assert!(matches!(secrets.text(text), Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn what_is_known_goes_everywhere() {
    let mut secrets = Secrets::new();
    secrets.learn(&json!({"client": {"properties": {"sasl.password": "o\"ne", "acks": "all"}}}));
    assert_eq!(secrets.text("tried o\"ne"), "tried [removed]");
    assert_eq!(secrets.text(r#"{"e":"tried o\"ne"}"#), r#"{"e":"tried [removed]"}"#);
    let mut value = json!([{"password": "", "token": null, "secret": ["a", "b"]}, "o\"ne"]);
    secrets.json(&mut value);
    assert_eq!(value, json!([{"password": "", "token": null, "secret": "[removed]"}, "[removed]"]));
    secrets.remember("abc");
    assert_eq!(secrets.text("abc"), "abc", "too short to remember");
}

#[test]
fn references_to_secrets_stay_so_that_a_plan_can_be_replayed() {
    let plan = serde_json::json!({"sasl.password": "env:BROKER_PASSWORD", "ssl.key.password": "file:/etc/key"});
    assert_eq!(clean(plan.clone()), plan);
    let line = plan.to_string();
    assert_eq!(Secrets::new().text(&line), line);
    let literal = serde_json::json!({"sasl.password": "hunter22"});
    assert_ne!(clean(literal.clone()), literal);
}

#[test]
fn an_api_key_of_kafkas_protocol_is_no_secret_and_one_of_a_service_is() {
    let secrets = Secrets::new();
    for line in
        ["request api_key: Produce, v9", "apiKey=LIST_OFFSETS, apiVersion=7", r#"{"api_key":18}"#]
    {
        assert_eq!(secrets.text(line), line);
    }
    for line in ["api_key: ProduceXy", "api-key=4471", "password: Produce"] {
        assert!(secrets.text(line).ends_with("[removed]"), "{line}");
    }
}
