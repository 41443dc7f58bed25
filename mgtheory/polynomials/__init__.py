"""The residual polynomial q (`residual`), how it is written, factored and applied (`roots`,
`factors`, `recurrence`, `written`, `series`), its families in closed form (`classical`,
`fourthkind`) and computed (`minimax`, `bounded`, `amplified`, `gmres`), and its `scores`."""
