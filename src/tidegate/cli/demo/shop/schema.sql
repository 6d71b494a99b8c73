-- The shop: what a small company keeps about the people it sells to.
CREATE TABLE customers (
    id    integer PRIMARY KEY,
    email text NOT NULL UNIQUE,
    phone text NOT NULL,
    ssn   text NOT NULL,
    card  text NOT NULL,
    born  date NOT NULL,
    city  text NOT NULL,
    plan  text NOT NULL,
    notes text NOT NULL
);
CREATE TABLE orders (
    id          integer PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers,
    placed_on   date NOT NULL,
    status      text NOT NULL,
    total       numeric(10, 2) NOT NULL
);
CREATE INDEX ON orders (customer_id);
