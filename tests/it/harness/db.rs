//! A fresh, migrated database for each test: a SQLite file in a temporary folder, or a database of its own on the PostgreSQL server that
//! `FAREBOX_TEST_DATABASE_URL` names.

use farebox::db::{Db, migrate, migrate_to};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;
use tokio::sync::OnceCell;

const TEMPLATE: &str = "farebox_test_template";
/// Two test programs that start at once make the template one after the other.
const TEMPLATE_LOCK: i64 = 0x0FAB_E807;

static TEMPLATE_READY: OnceCell<()> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A database that nobody else uses. It goes when the value is dropped.
pub struct TestDb {
    /// The open database, migrated.
    pub db: Db,
    /// Its URL, for a second connection or a child process.
    pub url: String,
    kept_by: KeptBy,
}

enum KeptBy {
    Folder(#[allow(dead_code)] TempDir),
    Server {
        url: String,
        name: String,
    },
    /// Another value.
    Elsewhere,
}

/// The PostgreSQL server to test on, when there is one.
pub fn postgres_url() -> Option<String> {
    std::env::var("FAREBOX_TEST_DATABASE_URL").ok().filter(|url| !url.is_empty())
}

impl TestDb {
    /// Makes and opens one on the engine under test.
    pub async fn new() -> Self {
        match postgres_url() {
            Some(server) => Self::on_postgres(server).await,
            None => Self::on_sqlite().await,
        }
    }

    /// One as an older release left it, with the migrations up to this number.
    pub async fn as_of(version: i64) -> Self {
        let test = match postgres_url() {
            Some(server) => Self::made_on_postgres(server, "template0").await,
            None => Self::made_on_sqlite().await,
        };
        migrate_to(&test.db, version).await.expect("the database migrates");
        test
    }

    /// Runs statements, one by one.
    pub async fn run(&self, statements: impl IntoIterator<Item = String>) {
        let mut tx = self.db.write().await.expect("a transaction");
        for sql in statements {
            run(&mut tx, sql).await;
        }
        tx.commit().await.expect("the database commits");
    }

    /// The same database, opened once more.
    pub async fn again(&self) -> Self {
        Self { db: Db::connect(&self.url).await.expect("the database opens"), url: self.url.clone(), kept_by: KeptBy::Elsewhere }
    }

    async fn on_sqlite() -> Self {
        let test = Self::made_on_sqlite().await;
        migrate(&test.db).await.expect("the database migrates");
        test
    }

    async fn made_on_sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("farebox.db").display());
        let db = Db::connect(&url).await.expect("the database opens");
        Self { db, url, kept_by: KeptBy::Folder(folder) }
    }

    async fn on_postgres(server: String) -> Self {
        sqlx::any::install_default_drivers();
        TEMPLATE_READY.get_or_init(|| make_template(&server)).await;
        Self::made_on_postgres(server, TEMPLATE).await
    }

    async fn made_on_postgres(server: String, template: &str) -> Self {
        sqlx::any::install_default_drivers();
        let name = format!("farebox_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let mut conn = AnyConnection::connect(&server).await.expect("FAREBOX_TEST_DATABASE_URL answers");
        run(&mut conn, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        run(&mut conn, format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        let url = named(&server, &name);
        let db = Db::connect(&url).await.expect("the database opens");
        Self { db, url, kept_by: KeptBy::Server { url: server, name } }
    }
}

impl Drop for TestDb {
    /// A server's database is dropped from a thread of its own, since the test's runtime may be ending.
    fn drop(&mut self) {
        let KeptBy::Server { url, name } = &self.kept_by else { return };
        let (url, drop_it) = (url.clone(), format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut conn = AnyConnection::connect(&url).await.expect("FAREBOX_TEST_DATABASE_URL answers");
                run(&mut conn, drop_it).await;
            });
        });
        let _ = thread.join();
    }
}

/// Migrating once and copying is several times faster than migrating for each test.
async fn make_template(server: &str) {
    let mut conn = AnyConnection::connect(server).await.expect("FAREBOX_TEST_DATABASE_URL answers");
    run(&mut conn, format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await;
    run(&mut conn, format!("DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")).await;
    run(&mut conn, format!("CREATE DATABASE {TEMPLATE}")).await;
    let db = Db::connect(&named(server, TEMPLATE)).await.expect("the template opens");
    migrate(&db).await.expect("the template migrates");
    db.close().await;
    run(&mut conn, format!("SELECT pg_advisory_unlock({TEMPLATE_LOCK})")).await;
}

async fn run(conn: &mut AnyConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(conn).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

fn named(server: &str, database: &str) -> String {
    let mut url = url::Url::parse(server).expect("FAREBOX_TEST_DATABASE_URL is a URL");
    url.set_path(database);
    url.into()
}
