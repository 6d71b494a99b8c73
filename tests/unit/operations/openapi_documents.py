"""API documents of our own making, in the manner of those that are found."""

from __future__ import annotations

import json

SHOP = """
openapi: 3.0.3
info: {title: Shop, version: "1"}
servers:
  - url: https://{region}.shop.example/v1
    variables: {region: {default: eu}}
security: [{key: []}]
paths:
  /customers:
    get:
      operationId: listCustomers
      x-tidegate-safe: true
      parameters:
        - {name: limit, in: query, schema: {type: integer}}
        - {$ref: '#/components/parameters/Filter'}
      responses:
        200:
          content:
            application/json:
              schema: {type: object, properties: {items: {type: array, items: {$ref: '#/components/schemas/Customer'}}}}
    post:
      operationId: createCustomer
      requestBody: {$ref: '#/components/requestBodies/Customer'}
      responses:
        '201': {content: {application/json: {schema: {$ref: '#/components/schemas/Customer'}}}}
  /customers/search:
    post:
      operationId: searchCustomers
      x-tidegate-safe: true
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {}
  /customers/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}, {name: expand, in: query}]
    get:
      operationId: getCustomer
      responses:
        default: {$ref: '#/components/responses/Customer'}
    delete: {operationId: deleteCustomer, responses: {}}
  /customers/{id}/photo:
    put:
      operationId: putPhoto
      requestBody: {content: {image/*: {}}}
      responses: {}
  /reports/{year}-{month}.csv:
    get: {responses: {}}
    head: {operationId: peekReport, responses: {}}
components:
  securitySchemes: {key: {type: apiKey, in: query, name: api_key}}
  parameters:
    Filter:
      name: filter
      in: query
      style: deepObject
      schema: {type: object}
  requestBodies:
    Customer:
      content: {application/json: {schema: {$ref: '#/components/schemas/Customer'}}, multipart/form-data: {}}
  responses:
    Customer: {content: {application/json: {schema: {$ref: '#/components/schemas/Customer'}}}}
  schemas:
    Customer:
      allOf:
        - {type: object, properties: {email: {$ref: '#/components/schemas/Email'}, name: {type: string}}}
        - type: object
          properties:
            cards: {type: array, items: {type: string, x-tidegate-tag: pii.card}}
            notes: {type: object, additionalProperties: {type: string, x-tidegate-tag: pii.notes}}
            friend: {$ref: '#/components/schemas/Customer'}
    Email: {type: string, x-tidegate-tag: pii.email}
"""

BANK = json.dumps(
    {
        "openapi": "3.1.0",
        "info": {"title": "Bank", "version": "1"},
        "paths": {
            "/accounts/{account}/transfers": {
                "post": {
                    "operationId": "transfer",
                    "parameters": [{"name": "account", "in": "path", "required": True}],
                    "requestBody": {"content": {"application/json": {}}},
                    "responses": {},
                },
                "get": {
                    "operationId": "transfers",
                    "parameters": [
                        {"name": "page", "in": "query", "schema": {"type": "object", "properties": {"after": {}}}},
                    ],
                    "responses": {"200": {"content": {"application/json": {"schema": {
                        "type": ["array", "null"],
                        "items": {"properties": {"iban": {"type": "string", "x-tidegate-tag": "pii.iban"},
                                                 "a.b": {"type": "string", "x-tidegate-tag": "pii"}}},
                    }}}}},
                },
            },
            "/accounts/{account}": {"$ref": "#/components/pathItems/Account"},
            "/any": {"get": {"parameters": [{"name": "x", "in": "query", "schema": {
                "type": "object", "additionalProperties": True}}], "responses": {}}},
        },
        "components": {"pathItems": {"Account": {"get": {"operationId": "account", "responses": {}}}}},
    }
)  # fmt: skip
