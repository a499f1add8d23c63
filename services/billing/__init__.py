"""billing: plans, subscriptions, invoices, charges, and the ledger in which each amount stands twice.

Owns the tables of migrations/, serves `tulle.billing.v1.BillingService`, `InvoicesService`,
`AccountingService` and `WebhooksService`.
"""
