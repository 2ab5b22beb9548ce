//! Client properties as people have them, in librdkafka's names or Java's, made into librdkafka's.
//!
//! A secret is never kept in a plan: its value there is a reference, which is followed when a client is made:
//! `env:NAME` (an environment variable), `file:PATH` (a file's content), or `config:PATH` (that property of a properties
//! file).

use perjury_secrets::is_secret_name;
use rdkafka::config::ClientConfig;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A property that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyError {
    /// Neither librdkafka nor the Java client has it.
    #[error("there is no client property {name:?}{}", near.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Unknown {
        /// Its name.
        name: String,
        /// The nearest name that exists, if any is near.
        near: Option<String>,
    },
    /// The Java client has it, and it has no counterpart here.
    #[error("the property {name} cannot be used: {why}")]
    Unsupported {
        /// Its name.
        name: String,
        /// What to do instead.
        why: String,
    },
    /// A secret was given in the open.
    #[error(
        "the property {0} is a secret: give it as {0}=env:NAME or {0}=file:PATH, or in a --command-config file"
    )]
    OpenSecret(String),
    /// This program has no TLS.
    #[error(
        "{0} needs TLS, which this perjury was built without: build it with `cargo build --features tls` (needs libssl-dev and pkg-config)"
    )]
    NoTls(String),
    /// A file or variable that a value refers to cannot be read.
    #[error("the property {name} refers to {reference}, which cannot be read: {why}")]
    Reference {
        /// Its name.
        name: String,
        /// The reference.
        reference: String,
        /// The reason.
        why: String,
    },
    /// A properties file cannot be read.
    #[error("cannot read the client properties {}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
}

/// Properties of the Java client that say how it works inside, or that are this program's own to say: left out.
const WITHOUT_MEANING: [&str; 8] = [
    "key.serializer",
    "value.serializer",
    "key.deserializer",
    "value.deserializer",
    "max.poll.records",
    "max.block.ms",
    "metric.reporters",
    "auto.include.jmx.reporter",
];

/// Java's name → librdkafka's, where the values mean the same.
const RENAMED: [(&str, &str); 6] = [
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("ssl.truststore.certificates", "ssl.ca.pem"),
    ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
    ("ssl.keystore.key", "ssl.key.pem"),
    ("sasl.mechanism", "sasl.mechanisms"),
];

/// Names that people misspell, beside those of this module; which names exist is asked of librdkafka itself.
const COMMON: [&str; 40] = [
    "acks",
    "api.version.request",
    "auto.offset.reset",
    "batch.num.messages",
    "batch.size",
    "broker.address.family",
    "check.crcs",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.codec",
    "compression.type",
    "connections.max.idle.ms",
    "enable.idempotence",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "group.id",
    "isolation.level",
    "linger.ms",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.max.age.ms",
    "queue.buffering.max.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retries",
    "retry.backoff.ms",
    "sasl.mechanism",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "session.timeout.ms",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
];

/// Properties given one by one, and those of a properties file, as librdkafka's; those given one by one win.
///
/// # Errors
/// [`PropertyError`], which names the property and what to do.
pub fn gather(
    given: &[(String, String)],
    file: Option<&Path>,
) -> Result<BTreeMap<String, String>, PropertyError> {
    let mut all = BTreeMap::new();
    if let Some(path) = file {
        let reference = format!("config:{}", path.display());
        for (name, value) in translate(&read_file(path)?)? {
            let value = if is_secret_name(&name) { reference.clone() } else { value };
            all.insert(name, value);
        }
    }
    for (name, value) in given {
        if is_secret_name(name) && !is_reference(value) {
            return Err(PropertyError::OpenSecret(name.clone()));
        }
    }
    all.extend(translate(&given.iter().cloned().collect())?);
    for (name, value) in &all {
        resolve(name, value)?;
    }
    needs_tls(&all)?;
    Ok(all)
}

fn is_reference(value: &str) -> bool {
    ["env:", "file:", "config:"].iter().any(|prefix| value.starts_with(prefix))
}

/// The value that a property's value stands for.
///
/// # Errors
/// [`PropertyError::Reference`] when it refers to something that cannot be read.
pub fn resolve(name: &str, value: &str) -> Result<String, PropertyError> {
    let failed = |why: String| PropertyError::Reference {
        name: name.to_owned(),
        reference: value.to_owned(),
        why,
    };
    if let Some(variable) = value.strip_prefix("env:") {
        return std::env::var(variable).map_err(|error| failed(error.to_string()));
    }
    if let Some(path) = value.strip_prefix("file:") {
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    if let Some(path) = value.strip_prefix("config:") {
        let all = translate(&read_file(Path::new(path))?)?;
        return all.get(name).cloned().ok_or_else(|| failed("it has no such property".to_owned()));
    }
    Ok(value.to_owned())
}

/// Reads a properties file: `key=value` or `key: value` lines, `#` and `!` begin comments, a backslash at the end of a
/// line continues it.
fn read_file(path: &Path) -> Result<BTreeMap<String, String>, PropertyError> {
    let failed = |why: String| PropertyError::File { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let mut properties = BTreeMap::new();
    let mut joined = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if joined.is_empty() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        if let Some(begun) = line.strip_suffix('\\') {
            joined.push_str(begun);
            continue;
        }
        joined.push_str(line);
        let line = std::mem::take(&mut joined);
        let (name, value) = line
            .split_once(['=', ':'])
            .ok_or_else(|| failed(format!("line {number} is not key=value")))?;
        properties.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(properties)
}

/// The same in librdkafka's names.
fn translate(given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, PropertyError> {
    let mut all = BTreeMap::new();
    for (name, value) in given {
        if WITHOUT_MEANING.contains(&name.as_str()) {
            continue;
        }
        if name == "bootstrap.servers" || name == "metadata.broker.list" {
            let why = "the addresses are given by -b".to_owned();
            return Err(PropertyError::Unsupported { name: name.clone(), why });
        }
        match name.as_str() {
            "sasl.jaas.config" => jaas(&resolve(name, value)?, &mut all)?,
            "ssl.truststore.location" => trust_store(given, value, &mut all)?,
            "ssl.keystore.location" => key_store(given, value, &mut all)?,
            "ssl.truststore.type" | "ssl.truststore.password" | "ssl.keystore.type" => {}
            "ssl.endpoint.identification.algorithm" if value.is_empty() => {
                all.insert(name.clone(), "none".to_owned());
            }
            _ => {
                let renamed = RENAMED.iter().find(|(java, _)| java == name);
                let name = renamed.map_or(name.as_str(), |(_, ours)| ours);
                known(name)?;
                all.insert(name.to_owned(), value.clone());
            }
        }
    }
    Ok(all)
}

/// Asks librdkafka whether it has a property.
fn known(name: &str) -> Result<(), PropertyError> {
    // Setting tells names apart that asking does not: a property without a default cannot be asked for.
    let tried = ClientConfig::new().set(name, "1").create_native_config();
    let unknown =
        tried.is_err_and(|error| error.to_string().contains("No such configuration property"));
    if !unknown || COMMON.contains(&name) || SSL.contains(&name) {
        return Ok(());
    }
    let distance = |known: &&str| strsim::damerau_levenshtein(known, name);
    let java = RENAMED.iter().map(|(java, _)| *java);
    let near = COMMON.into_iter().chain(SSL).chain(java).min_by_key(distance);
    let near = near.filter(|near| strsim::damerau_levenshtein(near, name) * 3 <= name.len());
    Err(PropertyError::Unknown { name: name.to_owned(), near: near.map(str::to_owned) })
}

/// TLS properties of librdkafka.
const SSL: [&str; 10] = [
    "ssl.ca.pem",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.curves.list",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.sigalgs.list",
    "enable.ssl.certificate.verification",
];

/// Java's login module as a name and a password.
fn jaas(text: &str, all: &mut BTreeMap<String, String>) -> Result<(), PropertyError> {
    let unsupported = |why: &str| PropertyError::Unsupported {
        name: "sasl.jaas.config".to_owned(),
        why: why.to_owned(),
    };
    if !text.contains("PlainLoginModule") && !text.contains("ScramLoginModule") {
        let why = "only PlainLoginModule and ScramLoginModule have a counterpart (sasl.username, sasl.password)";
        return Err(unsupported(why));
    }
    let field = |name: &str| {
        let rest = text.split(&format!("{name}=")).nth(1)?;
        let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c))?;
        Some(rest[1..].split(quote).next().unwrap_or_default().to_owned())
    };
    let user = field("username").ok_or_else(|| unsupported("it has no username=\"…\""))?;
    let password = field("password").ok_or_else(|| unsupported("it has no password=\"…\""))?;
    all.insert("sasl.username".to_owned(), user);
    all.insert("sasl.password".to_owned(), password);
    Ok(())
}

fn store_type(given: &BTreeMap<String, String>, which: &str, untyped: &str) -> String {
    let name = format!("ssl.{which}.type");
    given.get(&name).map_or_else(|| untyped.to_owned(), |value| value.to_uppercase())
}

/// Java's trust store: PEM is a file of certificates, the other kinds have to be converted.
fn trust_store(
    given: &BTreeMap<String, String>,
    path: &str,
    all: &mut BTreeMap<String, String>,
) -> Result<(), PropertyError> {
    let kind = store_type(given, "truststore", "JKS");
    if kind == "PEM" {
        all.insert("ssl.ca.location".to_owned(), path.to_owned());
        return Ok(());
    }
    let why = format!(
        "librdkafka reads no {kind} trust store; write its certificates to a file with `keytool -exportcert -rfc` and \
         give ssl.ca.location=FILE"
    );
    Err(PropertyError::Unsupported { name: "ssl.truststore.location".to_owned(), why })
}

/// Java's key store: PEM holds certificate and key, PKCS#12 is read as it is, JKS has to be converted.
fn key_store(
    given: &BTreeMap<String, String>,
    path: &str,
    all: &mut BTreeMap<String, String>,
) -> Result<(), PropertyError> {
    // Without a type the name is librdkafka's as well, whose key stores are PKCS#12; only a name tells JKS then.
    let untyped = if path.to_lowercase().ends_with(".jks") { "JKS" } else { "PKCS12" };
    match store_type(given, "keystore", untyped).as_str() {
        "PEM" => {
            all.insert("ssl.certificate.location".to_owned(), path.to_owned());
            all.insert("ssl.key.location".to_owned(), path.to_owned());
        }
        "PKCS12" => {
            all.insert("ssl.keystore.location".to_owned(), path.to_owned());
        }
        kind => {
            let why = format!(
                "librdkafka reads no {kind} key store; convert it with `keytool -importkeystore -deststoretype pkcs12` \
                 and give ssl.keystore.type=PKCS12 too"
            );
            let name = "ssl.keystore.location".to_owned();
            return Err(PropertyError::Unsupported { name, why });
        }
    }
    Ok(())
}

fn needs_tls(all: &BTreeMap<String, String>) -> Result<(), PropertyError> {
    let secure = |(name, value): (&String, &String)| {
        let protocol = name == "security.protocol" && value.to_uppercase().ends_with("SSL");
        let scram = name == "sasl.mechanisms" && value.to_uppercase().starts_with("SCRAM");
        let tls = name.starts_with("ssl.") && name != "ssl.endpoint.identification.algorithm";
        (protocol || scram || tls).then(|| name.clone())
    };
    match all.iter().find_map(secure) {
        Some(name) if !cfg!(feature = "tls") => Err(PropertyError::NoTls(name)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn a_java_clients_file_becomes_librdkafkas_properties() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("client.properties");
        let text = "# a comment\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
                    sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\\n  \
                    username=\"alice\" password=\"pass = word\";\nkey.serializer=x.y.Z\n\
                    ssl.endpoint.identification.algorithm=\nfetch.max.wait.ms=7\n";
        std::fs::write(&file, text).unwrap();
        let all = gather(&[], Some(&file)).unwrap();
        let reference = format!("config:{}", file.display());
        let expected = map(&[
            ("fetch.wait.max.ms", "7"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.password", &reference),
            ("sasl.username", "alice"),
            ("security.protocol", "SASL_PLAINTEXT"),
            ("ssl.endpoint.identification.algorithm", "none"),
        ]);
        assert_eq!(all, expected, "the password stays in its file");
        assert_eq!(resolve("sasl.password", &reference).unwrap(), "pass = word");
    }

    #[test]
    fn an_unknown_name_comes_with_the_nearest_one() {
        let given = [("securty.protocol".to_owned(), "PLAINTEXT".to_owned())];
        let error = gather(&given, None).unwrap_err().to_string();
        assert!(error.contains("did you mean security.protocol"), "{error}");
        let given = [("completely.other".to_owned(), "1".to_owned())];
        let error = gather(&given, None).unwrap_err();
        assert!(matches!(error, PropertyError::Unknown { near: None, .. }), "{error}");
        assert!(gather(&[("linger.ms".to_owned(), "5".to_owned())], None).is_ok());
    }

    #[test]
    fn secrets_are_given_by_reference_alone() {
        let given = |value: &str| vec![("sasl.password".to_owned(), value.to_owned())];
        let error = gather(&given("hunter2"), None).unwrap_err().to_string();
        assert!(error.contains("env:NAME") && !error.contains("hunter2"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "hunter2\n").unwrap();
        let reference = format!("file:{}", file.display());
        let all = gather(&given(&reference), None).unwrap();
        assert_eq!(all["sasl.password"], reference);
        assert_eq!(resolve("sasl.password", &reference).unwrap(), "hunter2");
        assert!(gather(&given("file:/nowhere/at/all"), None).is_err());
    }

    #[test]
    fn what_java_has_alone_is_refused_with_what_to_do() {
        let cases = [
            ("ssl.truststore.location", "a.jks", "ssl.ca.location"),
            ("ssl.keystore.location", "a.jks", "pkcs12"),
            ("sasl.jaas.config", "file:/nowhere", "cannot be read"),
            ("bootstrap.servers", "a:1", "-b"),
        ];
        for (name, value, hint) in cases {
            let error = gather(&[(name.to_owned(), value.to_owned())], None).unwrap_err();
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn a_key_store_without_a_type_is_librdkafkas_own_unless_its_name_says_jks() {
        let given = [("ssl.keystore.location".to_owned(), "client.p12".to_owned())];
        let all = translate(&BTreeMap::from(given)).unwrap();
        assert_eq!(all["ssl.keystore.location"], "client.p12");
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn without_tls_the_feature_is_named() {
        let given = [("security.protocol".to_owned(), "SASL_SSL".to_owned())];
        let error = gather(&given, None).unwrap_err().to_string();
        assert!(error.contains("--features tls"), "{error}");
    }
}
