"""From the file to plain data and back, in this order:

ooxml           the words of the format
package         a zip of parts, read with limits and saved atomically
cells           sparse cells as sorted arrays; formula_groups: formulas by what they are copies of
sheet_reader    one pass over a sheet's XML
reader          the workbook: sheets, names, links (external)
solver_model    the Solver model in hidden names, read and written
selection       ranges as people name them; scratch: formulas that are not in the file
formats         number formats of cells; protection: which cells are locked
patcher         cells rewritten in place, calc_chain and workbook_part kept in step
styles          cell formats appended to the workbook's own
new_sheet       a sheet of ours, added last
charts          native charts
"""
